import { latin1 } from "../codecs/latin1.ts";
import { refuseDns } from "../codecs/refusal/dns.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `dns()` learned of the question. */
export interface DnsInfo {
  readonly id: number;
  /** In lower case and without final dot, `""` for the root; bytes that are no printable ASCII as `\DDD`. */
  readonly name: string;
  /** `"A"`, `"AAAA"`, … and `"TYPE65400"` for one without a name here (RFC 3597 §5). */
  readonly type: string;
}

const PREFIX = 2; // RFC 1035 §4.2.2: the message's length
const HEADER = PREFIX + 12; // … and its header
const MIN_MESSAGE = 12 + 5; // a header and the question for the root
/** A query has some hundred bytes, with a signature 2,000 at most. Within this limit no line of text can be a length. */
const MAX_MESSAGE = 0x08ff;
const MIN_RECORD = 11; // the root's name, type, class, time to live, length of nothing
const MAX_RECORDS = 64; // an update brings some; a query at most two (RFC 6891, RFC 8945)
const MAX_LABEL = 63; // RFC 1035 §2.3.4, which also rules out compression: nothing stands before the question
const MAX_NAME = 255;
const OPCODES = new Set([0, 2, 4, 5]); // query, status, notify, update (RFC 6895 §2.2)
const CLASSES = new Set([1, 3, 4, 254, 255]); // internet, chaos, hesiod, none, any
const ASK_ONLY = 0xcf; // in the second flag byte, a client's RA, Z and response code are zero

// biome-ignore format: a table
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, "A"], [2, "NS"], [5, "CNAME"], [6, "SOA"], [12, "PTR"], [13, "HINFO"], [15, "MX"], [16, "TXT"], [28, "AAAA"],
  [33, "SRV"], [35, "NAPTR"], [39, "DNAME"], [43, "DS"], [46, "RRSIG"], [47, "NSEC"], [48, "DNSKEY"], [50, "NSEC3"],
  [52, "TLSA"], [64, "SVCB"], [65, "HTTPS"], [249, "TKEY"], [250, "TSIG"], [251, "IXFR"], [252, "AXFR"], [255, "ANY"],
  [257, "CAA"],
]);

/** DNS over TCP: the client speaks first with a message of one question (RFC 1035 §4.2.2, RFC 7766, RFC 9619). */
export function dns(): Sniffer<"dns", DnsInfo> {
  return {
    name: "dns",
    refuse: refuseDns,
    examples: [
      Buffer.from("\x00\x1d\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\x03com\0\x00\x01\x00\x01", "latin1"),
    ],
    sniff: (head) => (header(head) ? (head.length < HEADER ? more(head.length + 1) : question(head)) : mismatch),
  };
}

/** Judges each byte of the header as soon as it is there: what is too short for a header must not wait for one. */
function header(head: Uint8Array): boolean {
  const [high = 0, low, , , flags = 0, codes = 0, countHigh = 0, count = 1] = head;
  if (high > MAX_MESSAGE >> 8 || (low !== undefined && high * 256 + low < MIN_MESSAGE)) return false;
  const isResponse = (flags & 0x80) !== 0;
  const isTruncated = (flags & 0x02) !== 0;
  if (isResponse || isTruncated || !OPCODES.has((flags >> 3) & 0x0f) || (codes & ASK_ONLY) !== 0) return false;
  return countHigh === 0 && count === 1;
}

function question(head: Uint8Array): Verdict<DnsInfo> {
  const end = PREFIX + word(head, 0);
  const records = word(head, 8) + word(head, 10) + word(head, 12);
  if (records > MAX_RECORDS) return mismatch;
  const name = nameAt(head, end - 4 - records * MIN_RECORD);
  if (name.kind !== "match") return name;
  const rest = HEADER + name.info.size + 4;
  if (records === 0 && rest !== end) return mismatch;
  if (head.length < rest) return more(rest);
  const type = word(head, rest - 4);
  if (type === 0 || !CLASSES.has(word(head, rest - 2))) return mismatch;
  return match({ id: word(head, 2), name: name.info.text, type: TYPES.get(type) ?? `TYPE${type}` });
}

interface Name {
  readonly text: string;
  readonly size: number;
}

/** The name behind the header. It ends before `limit`, so that a message too short for it is not waited for. */
function nameAt(head: Uint8Array, limit: number): Verdict<Name> {
  const labels: string[] = [];
  for (let at = HEADER; at < Math.min(limit, HEADER + MAX_NAME); ) {
    const length = head[at];
    if (length === undefined) return more(at + 1);
    if (length === 0) return match({ text: labels.join("."), size: at + 1 - HEADER });
    if (length > MAX_LABEL) return mismatch;
    labels.push(printable(latin1(head, at + 1, Math.min(at + 1 + length, head.length))));
    at += 1 + length;
  }
  return mismatch;
}

/** RFC 1035 §5.1: a dot inside a label, and what cannot be printed, must not look like something else. */
function printable(label: string): string {
  const escaped = label.replace(/[^!-~]|[.\\]/g, (char) =>
    char === "." || char === "\\" ? `\\${char}` : `\\${String(char.charCodeAt(0)).padStart(3, "0")}`,
  );
  return escaped.toLowerCase();
}

function word(head: Uint8Array, at: number): number {
  return (head[at] ?? 0) * 256 + (head[at + 1] ?? 0);
}
