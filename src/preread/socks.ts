import { latin1 } from "../codecs/latin1.ts";
import { refuseSocks } from "../codecs/refusal/socks.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `socks()` learned. Version 5 tells only how the client may log in; where to is asked after the server's answer. */
export type SocksInfo =
  | {
      readonly version: 4;
      readonly command: "connect" | "bind";
      /** Where the client wants to go: an IPv4 address, or a name (4a). */
      readonly host: string;
      readonly port: number;
      /** What the client says to be; nothing proves it. */
      readonly user: string;
    }
  | {
      readonly version: 5;
      /** RFC 1928 §3: 0 no login, 1 GSSAPI, 2 user name and password. */
      readonly methods: readonly number[];
    };

const FIXED = 8; // version, command, port, address
const MAX_TEXT = 255; // of a user or a host name; neither document sets a limit, a name has 253 at most
const TEXT = /^[\x20-\x7e\x80-\xff]*$/;
const LAST_ASSIGNED = 0x09; // IANA's registry of SOCKS methods
const FIRST_PRIVATE = 0x80;
const NONE_ACCEPTABLE = 0xff; // a server's word, never a client's

/** SOCKS 4, 4a and 5: the client speaks first with a request (4) or the login methods that it knows (5, RFC 1928 §3). */
export function socks(): Sniffer<"socks", SocksInfo> {
  return {
    name: "socks",
    refuse: refuseSocks,
    examples: [
      Buffer.of(5, 1, 0),
      Buffer.from("\x04\x01\x00\x50\x7f\x00\x00\x01\0", "latin1"),
      Buffer.from("\x04\x01\x00\x50\x00\x00\x00\x01\0example.com\0", "latin1"),
    ],
    sniff(head) {
      if (head.length === 0) return more(1);
      return head[0] === 5 ? greeting(head) : head[0] === 4 ? request(head) : mismatch;
    },
  };
}

function greeting(head: Uint8Array): Verdict<SocksInfo> {
  const count = head[1];
  if (count === undefined) return more(2);
  const methods = head.subarray(2, 2 + count);
  if (count === 0 || !methods.every(isMethod)) return mismatch;
  return methods.length === count ? match({ version: 5, methods: [...methods] }) : more(head.length + 1);
}

function isMethod(byte: number): boolean {
  return byte <= LAST_ASSIGNED || (byte >= FIRST_PRIVATE && byte < NONE_ACCEPTABLE);
}

function request(head: Uint8Array): Verdict<SocksInfo> {
  const code = head[1];
  if (code === undefined) return more(2);
  const command = code === 1 ? "connect" : code === 2 ? "bind" : undefined;
  if (command === undefined) return mismatch;
  if (head.length <= FIXED) return more(FIXED + 1);
  const user = endedText(head, FIXED);
  if (user.kind !== "match") return user;
  const [, , high = 0, low = 0, ...address] = head.subarray(0, FIXED);
  const by4a = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  const host = by4a ? endedText(head, FIXED + user.info.length + 1) : match(address.join("."));
  if (host.kind !== "match") return host;
  if (host.info === "") return mismatch;
  return match({ version: 4, command, host: host.info, port: high * 256 + low, user: user.info });
}

/** The text that starts at `at` and ends before a NUL. */
function endedText(head: Uint8Array, at: number): Verdict<string> {
  const within = head.subarray(at, at + MAX_TEXT + 1);
  const end = within.indexOf(0);
  const text = latin1(within, 0, end === -1 ? within.length : end);
  if (!TEXT.test(text)) return mismatch;
  if (end !== -1) return match(text);
  return within.length > MAX_TEXT ? mismatch : more(head.length + 1);
}
