import { type Decoded, frame, malformed, needs } from "../codec.ts";
import { latin1 } from "../latin1.ts";
import { decodeFields, type HeaderField, type HeadLimits, withoutCr } from "./fields.ts";

/** A response as its server wrote it, body excluded. Names keep their case, values lose the white space around them. */
export interface ResponseHead {
  /** `"1.0"`, `"1.1"`. */
  readonly version: string;
  readonly status: number;
  /** May be empty. */
  readonly reason: string;
  readonly headers: readonly HeaderField[];
}

/** Servers send more than clients, cookies and policies above all: four times a request's 16 KiB (nginx takes 8 KiB in all). */
export const RESPONSE_HEAD_LIMITS: HeadLimits = { maxBytes: 65_536, maxHeaders: 256 };

const LF = 0x0a;
/** RFC 9112 §4. Servers in use leave out the space behind the status where there is no reason. */
const STATUS_LINE = /^HTTP\/(1\.\d) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const PREFIX = Buffer.from("HTTP/1.");

/** Reads the head of an HTTP/1 response (RFC 9112 §4, §5), as strictly as those of requests are read. */
export function decodeResponseHead(
  bytes: Uint8Array,
  limits: HeadLimits = RESPONSE_HEAD_LIMITS,
): Decoded<ResponseHead> {
  const within = bytes.length > limits.maxBytes ? bytes.subarray(0, limits.maxBytes) : bytes;
  const decoded = headOf(within, limits.maxHeaders);
  if (decoded.kind !== "more" || decoded.atLeast <= limits.maxBytes) return decoded;
  return malformed(`no end of head within ${limits.maxBytes} bytes`);
}

function headOf(bytes: Uint8Array, maxHeaders: number): Decoded<ResponseHead> {
  const seen = Math.min(bytes.length, PREFIX.length);
  if (PREFIX.compare(bytes, 0, seen, 0, seen) !== 0) return malformed("not HTTP/1.x");
  const end = bytes.indexOf(LF);
  if (end === -1) return needs(bytes.length + 1);
  const [, version, status, reason = ""] = STATUS_LINE.exec(latin1(bytes, 0, withoutCr(bytes, 0, end))) ?? [];
  if (version === undefined) return malformed("not a status line");
  const headers = decodeFields(bytes, end + 1, maxHeaders);
  if (headers.kind !== "frame") return headers;
  return frame({ version, status: Number(status), reason, headers: headers.value }, headers.size);
}
