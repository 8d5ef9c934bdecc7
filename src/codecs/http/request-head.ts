import { type Decoded, frame, malformed, needs } from "../codec.ts";
import { latin1 } from "../latin1.ts";
import { decodeFields, type HeaderField, type HeadLimits, IS_TOKEN, withoutCr } from "./fields.ts";

/** A request as its client wrote it, body excluded. Names keep their case, values lose the white space around them. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** `"0.9"` for the simple request without version, else `"1.0"`, `"1.1"`. */
  readonly version: string;
  readonly headers: readonly HeaderField[];
}

/** 16 KiB is the preread buffer (nginx takes 4 × 8 KiB, Node 16 KiB); 100 fields as Apache, a browser sends about 20. */
export const HEAD_LIMITS: HeadLimits = { maxBytes: 16_384, maxHeaders: 100 };

const MAX_METHOD = 24; // RFC 9110 §9.1 sets none; the longest registered name, UPDATEREDIRECTREF, has 17
const MAX_SCHEME = 16; // of an absolute target; registered ones in use are shorter
const LF = 0x0a;
const SP = 0x20;

const TARGET = /^[\x21-\x7e\x80-\xff]+$/; // clients send raw UTF-8, so more than RFC 3986 allows
const VERSION = /^HTTP\/1\.\d$/;
/** What may still become ` HTTP/1.x`, CR included. */
const VERSION_BEGUN = /^(?:H(?:T(?:T(?:P(?:\/(?:1(?:\.(?:\d\r?)?)?)?)?)?)?)?)?$/;
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]{0,15}:\/\/./;
const ABSOLUTE_BEGUN = /^[A-Za-z][A-Za-z0-9+.-]{0,15}(?::(?:\/(?:\/.*)?)?)?$/;
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]]+):\d{1,5}$/;
const AUTHORITY_BEGUN = /^[^/?#@]*$/;

type RequestLine = Omit<RequestHead, "headers">;

/**
 * Reads the head of an HTTP/1 request (RFC 9112 §3, §5) or an HTTP/0.9 simple request (`GET /` and a line end).
 * Strict where leniency lets two readers disagree about one request: no folded lines, no space before a colon,
 * no bare CR, no NUL; a bare LF ends a line (RFC 9112 §2.2).
 *
 * Called again on every chunk, it costs one native search per line that is there (at most `maxHeaders`) over at most
 * `maxBytes`: some microseconds, so a client that trickles pays more in packets than we in time. Text is made once, at the end.
 */
export function decodeRequestHead(bytes: Uint8Array, limits: HeadLimits = HEAD_LIMITS): Decoded<RequestHead> {
  const within = bytes.length > limits.maxBytes ? bytes.subarray(0, limits.maxBytes) : bytes;
  const line = requestLine(within);
  const decoded = line.kind === "frame" ? fields(within, line.value, line.size, limits.maxHeaders) : line;
  if (decoded.kind !== "more" || decoded.atLeast <= limits.maxBytes) return decoded;
  return malformed(`no end of head within ${limits.maxBytes} bytes`);
}

function requestLine(bytes: Uint8Array): Decoded<RequestLine> {
  const methodEnd = tokenEnd(bytes);
  const next = bytes[methodEnd];
  if (methodEnd > MAX_METHOD || (next !== undefined && (next !== SP || methodEnd === 0))) return malformed("no method");
  if (next === undefined) return needs(bytes.length + 1);
  const method = latin1(bytes, 0, methodEnd);
  const start = methodEnd + 1;
  const end = bytes.indexOf(LF, start);
  if (end !== -1) return wholeLine(method, latin1(bytes, start, withoutCr(bytes, start, end)), end + 1);
  return lineBegun(method, bytes, start) ? needs(bytes.length + 1) : malformed("not a request line");
}

/** Where the method ends, one past the longest if it does not: most clients of other protocols are told by their first byte. */
function tokenEnd(bytes: Uint8Array): number {
  let at = 0;
  while (at <= MAX_METHOD && at < bytes.length && IS_TOKEN[bytes[at] ?? SP]) at++;
  return at;
}

/** Can `method`, and the bytes from `start` that have no line end yet, still become a request line? */
function lineBegun(method: string, bytes: Uint8Array, start: number): boolean {
  const space = bytes.indexOf(SP, start);
  if (space === -1) {
    const target = latin1(bytes, start, Math.min(bytes.length, start + MAX_SCHEME + 3)); // its form is enough
    return target === "" || targetBegun(method, target);
  }
  const version = latin1(bytes, space + 1, Math.min(bytes.length, space + 1 + "HTTP/1.1\r ".length));
  return VERSION_BEGUN.test(version) && isTarget(method, latin1(bytes, start, space));
}

function targetBegun(method: string, target: string): boolean {
  const bare = target.endsWith("\r") ? target.slice(0, -1) : target;
  if (!TARGET.test(bare)) return false;
  if (method === "CONNECT") return AUTHORITY_BEGUN.test(bare);
  if (method === "OPTIONS" && bare.startsWith("*")) return bare === "*";
  return bare.startsWith("/") || ABSOLUTE_BEGUN.test(bare);
}

function wholeLine(method: string, rest: string, size: number): Decoded<RequestLine> {
  const space = rest.indexOf(" ");
  const target = space === -1 ? rest : rest.slice(0, space);
  const version = space === -1 ? undefined : rest.slice(space + 1);
  if (version?.includes(" ") || !isTarget(method, target)) return malformed("not a request line");
  // HTTP/0.9 knows GET and a path only, and this line is all of it.
  if (version === undefined) {
    const simple = method === "GET" && target.startsWith("/");
    return simple ? frame({ method, target, version: "0.9" }, size) : malformed("no version");
  }
  if (!VERSION.test(version)) return malformed("not HTTP/1.x");
  return frame({ method, target, version: version.slice("HTTP/".length) }, size);
}

/** RFC 9112 §3.2: authority-form is for CONNECT, asterisk-form for OPTIONS (and so never the HTTP/2 preface). */
function isTarget(method: string, target: string): boolean {
  if (!TARGET.test(target)) return false;
  if (method === "CONNECT") return AUTHORITY.test(target);
  return target.startsWith("/") || (method === "OPTIONS" && target === "*") || ABSOLUTE.test(target);
}

function fields(bytes: Uint8Array, line: RequestLine, start: number, maxHeaders: number): Decoded<RequestHead> {
  const { method, target, version } = line;
  if (version === "0.9") return frame({ method, target, version, headers: [] }, start);
  const headers = decodeFields(bytes, start, maxHeaders);
  return headers.kind === "frame" ? frame({ method, target, version, headers: headers.value }, headers.size) : headers;
}
