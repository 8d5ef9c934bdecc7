import { latin1 } from "../codecs/latin1.ts";
import { refuseRdp } from "../codecs/refusal/rdp.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `rdp()` learned of the connection request. */
export interface RdpInfo {
  /** The user name that the client remembers for this host, often cut to nine characters; nothing proves it. */
  readonly cookie: string | undefined;
  /** What a connection broker gave the client to find its session again, as in `msts=…`. */
  readonly routingToken: string | undefined;
  /** Kinds of security that the client offers; none: RDP's own. */
  readonly protocols: readonly RdpProtocol[];
}

/** MS-RDPBCGR §2.2.1.1.1: TLS, CredSSP over it, remote desktop's own over TLS, CredSSP with early authorization, Entra ID. */
export type RdpProtocol = "tls" | "credssp" | "rdstls" | "credssp-ex" | "aad";

const TPKT = 4; // RFC 1006 §6: version 3, reserved, the length of all
const FIXED = TPKT + 7; // … and of X.224: indicator, code, two references, class
const MAX_LENGTH = TPKT + 1 + 254; // the indicator is one byte, 255 is reserved (X.224 §13.2.1)
const CONNECTION_REQUEST = 0xe0;
const NEGOTIATION = 8; // bytes of the request for a kind of security
const CORRELATION = 36; // bytes of an id for traces
const MSTSHASH = "mstshash=";
const PROTOCOLS: readonly (readonly [bit: number, name: RdpProtocol])[] = [
  [1, "tls"],
  [2, "credssp"],
  [4, "rdstls"],
  [8, "credssp-ex"],
  [16, "aad"],
];

/** Remote Desktop: the client speaks first with an X.224 connection request (MS-RDPBCGR §2.2.1.1). */
export function rdp(): Sniffer<"rdp", RdpInfo> {
  return {
    name: "rdp",
    refuse: (_refusal, info) => refuseRdp(info),
    examples: [
      Buffer.from("\x03\0\0\x2c\x27\xe0\0\0\0\0\0Cookie: mstshash=user01\r\n\x01\0\x08\0\x03\0\0\0", "latin1"),
      Buffer.from("\x03\0\0\x0b\x06\xe0\0\0\0\0\0", "latin1"),
    ],
    sniff(head) {
      if (!begins(head)) return mismatch;
      if (head.length < FIXED) return more(head.length + 1);
      const length = (head[2] ?? 0) * 256 + (head[3] ?? 0);
      return head.length < length ? more(length) : request(head.subarray(FIXED, length));
    },
  };
}

/** Judges each byte as soon as it is there. The lengths of TPKT and of X.224 must agree. */
function begins(head: Uint8Array): boolean {
  const [version = 3, reserved = 0, high = 0, low, indicator, code = CONNECTION_REQUEST] = head;
  if (version !== 3 || reserved !== 0 || high > MAX_LENGTH >> 8 || code !== CONNECTION_REQUEST) return false;
  if (low === undefined) return true;
  const length = high * 256 + low;
  if (length < FIXED || length > MAX_LENGTH) return false;
  return indicator === undefined || indicator === length - TPKT - 1;
}

/** What follows the class: a cookie or token line, a negotiation request, a correlation id, each of them optional. */
function request(body: Uint8Array): Verdict<RdpInfo> {
  const line = /^(?:Cookie: )?([\x20-\x7e\x80-\xff]+)\r\n/.exec(latin1(body));
  const token = line?.[1];
  const rest = body.subarray(line?.[0].length ?? 0);
  const protocols = protocolsOf(rest.subarray(0, NEGOTIATION));
  if (!protocols || (rest.length > NEGOTIATION && !isCorrelation(rest.subarray(NEGOTIATION)))) return mismatch;
  const cookie = token?.startsWith(MSTSHASH) ? token.slice(MSTSHASH.length) : undefined;
  return match({ cookie, routingToken: cookie === undefined ? token : undefined, protocols });
}

/** Undefined when the bytes are neither absent nor a negotiation request: then it is another use of X.224. */
function protocolsOf(bytes: Uint8Array): RdpProtocol[] | undefined {
  if (bytes.length === 0) return [];
  const [type, , low, high, bits = 0] = bytes;
  if (bytes.length !== NEGOTIATION || type !== 1 || low !== NEGOTIATION || high !== 0) return undefined;
  return PROTOCOLS.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}

function isCorrelation(bytes: Uint8Array): boolean {
  return bytes.length === CORRELATION && bytes[0] === 6 && bytes[2] === CORRELATION && bytes[3] === 0;
}
