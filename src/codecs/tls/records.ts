import { type Decoded, frame, malformed, needs } from "../codec.ts";

/** The longest ClientHello that is read, without record and message headers: one full record, as much as the gateway waits for. */
export const MAX_HELLO_BYTES = 16_384;

const HANDSHAKE_RECORD = 0x16;
const SSLV2_FIRST_BYTE = 0x80;
const CLIENT_HELLO = 1;
const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;
const MAX_RECORD_BYTES = 2 ** 14; // RFC 8446 §5.1
const SMALLEST_RECORD_BYTES = 64; // RFC 8449 §4: nobody is asked to cut records smaller than this
const MAX_RECORDS = Math.ceil((MESSAGE_HEADER_BYTES + MAX_HELLO_BYTES) / SMALLEST_RECORD_BYTES);
const RECORD_NAMES = new Map([
  [20, "change_cipher_spec"],
  [21, "alert"],
  [23, "application_data"],
]);

/** The records so far. A record counts as soon as its header is there; `end` is then past the bytes that have come. */
interface Walk {
  readonly fragments: Uint8Array[];
  /** The first bytes of the message: its type and its length. */
  readonly head: number[];
  end: number;
  carried: number;
}

/**
 * Joins the handshake records at the start of a connection into the body of the ClientHello (RFC 8446 §5.1: a message may be cut
 * into records anywhere). Only headers are walked until all is there, so bytes that trickle in cost nothing.
 */
export function readHelloBody(bytes: Uint8Array): Decoded<Uint8Array> {
  const walk: Walk = { fragments: [], head: [], end: 0, carried: 0 };
  for (;;) {
    const fault = recordFault(bytes, walk.end);
    if (fault) return malformed(fault);
    if (bytes.length < walk.end + RECORD_HEADER_BYTES) return needs(leastEnd(walk));
    addRecord(walk, bytes);
    const wrong = messageFault(walk);
    if (wrong) return malformed(wrong);
    if (bytes.length < walk.end) return needs(leastEnd(walk));
    if (walk.carried === messageSize(walk)) return frame(bodyOf(walk), walk.end);
    if (walk.fragments.length === MAX_RECORDS) return malformed(`ClientHello in more than ${MAX_RECORDS} records`);
  }
}

/** What is wrong with the record header at `at`, as far as it is there. */
function recordFault(bytes: Uint8Array, at: number): string | undefined {
  const type = bytes[at];
  if (type === undefined) return undefined;
  if (at === 0 && type === SSLV2_FIRST_BYTE) return "an SSLv2 hello, or no TLS: first byte 0x80";
  if (type !== HANDSHAKE_RECORD) return `record type ${RECORD_NAMES.get(type) ?? type} where a handshake is due`;
  const major = bytes[at + 1];
  if (major !== undefined && !isRecordVersion(major, bytes[at + 2])) return "record version is none of TLS";
  if (bytes.length < at + RECORD_HEADER_BYTES) return undefined;
  const size = recordSize(bytes, at);
  if (size > MAX_RECORD_BYTES) return `record of ${size} bytes, ${MAX_RECORD_BYTES} are allowed`;
  return size === 0 ? "empty handshake record" : undefined; // RFC 8446 §5.1 forbids it; it could stall us for ever
}

/** Whether bytes 1 and 2 may be `legacy_record_version` (RFC 8446 §5.1): clients write SSL 3.0 to TLS 1.3, and it decides nothing. */
export function isRecordVersion(major: number, minor: number | undefined): boolean {
  return major === 3 && (minor ?? 0) <= 4;
}

function recordSize(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
}

function addRecord(walk: Walk, bytes: Uint8Array): void {
  const size = recordSize(bytes, walk.end);
  const start = walk.end + RECORD_HEADER_BYTES;
  const fragment = bytes.subarray(start, start + size);
  walk.fragments.push(fragment);
  for (let at = 0; walk.head.length < MESSAGE_HEADER_BYTES && at < fragment.length; at++)
    walk.head.push(fragment[at] ?? 0);
  walk.end = start + size;
  walk.carried += size;
}

function messageFault(walk: Walk): string | undefined {
  const [type] = walk.head;
  if (type !== undefined && type !== CLIENT_HELLO) return `handshake message ${type} where a ClientHello is due`;
  const size = messageSize(walk);
  if (size === undefined) return undefined;
  const body = size - MESSAGE_HEADER_BYTES;
  if (body > MAX_HELLO_BYTES) return `ClientHello of ${body} bytes, ${MAX_HELLO_BYTES} are allowed`;
  return walk.carried > size ? "bytes behind the ClientHello in its record" : undefined;
}

/** The message with its header, once the header is there. */
function messageSize({ head }: Walk): number | undefined {
  const [, high, middle, low] = head;
  if (high === undefined || middle === undefined || low === undefined) return undefined;
  return MESSAGE_HEADER_BYTES + ((high << 16) | (middle << 8) | low);
}

/** The least total that can hold the message: what is missing fits into one more record at best. */
function leastEnd(walk: Walk): number {
  if (walk.fragments.length === 0) return RECORD_HEADER_BYTES;
  const missing = (messageSize(walk) ?? MESSAGE_HEADER_BYTES) - walk.carried;
  return missing > 0 ? walk.end + RECORD_HEADER_BYTES + missing : walk.end;
}

function bodyOf({ fragments, carried }: Walk): Uint8Array {
  const [first] = fragments;
  const whole = fragments.length === 1 && first ? first : Buffer.concat(fragments, carried);
  return whole.subarray(MESSAGE_HEADER_BYTES);
}
