import type { HeaderField } from "./fields.ts";
import type { RequestHead } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";

/** Where the body of a message ends (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** With the connection. */
  | { readonly kind: "close" };

/** A head from which two readers could tell two different ends of its body. */
export interface Ambiguous {
  readonly kind: "malformed";
  readonly reason: string;
}

/** The headers that tell where a body ends. Whoever changes one of them must change the body, too. */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

const DIGITS = /^\d{1,15}$/; // a safe integer, whichever digits
const CODINGS: ReadonlySet<string> = new Set(["gzip", "x-gzip", "deflate", "compress", "x-compress"]);
const NONE: Framing = { kind: "none" };
const CLOSE: Framing = { kind: "close" };
const CHUNKED: Framing = { kind: "chunked" };

/**
 * Where a request's body ends. Strict: a length that comes twice or beside a transfer coding, or a coding that is not known,
 * is what requests are smuggled with (RFC 9112 §6.1, §11.2).
 */
export function requestFraming(head: RequestHead): Framing | Ambiguous {
  const told = toldFraming(head.headers, head.version);
  if (told?.kind === "close") return ambiguous("transfer coding of a request that does not end in chunked");
  if (told && head.method === "CONNECT") return ambiguous("CONNECT with a body"); // RFC 9110 §9.3.6
  return told ?? NONE;
}

/** Where the body of a final response to `method` ends. What follows a 101, or a CONNECT that succeeded, is no body. */
export function responseFraming(head: ResponseHead, method: string): Framing | Ambiguous {
  const told = toldFraming(head.headers, head.version);
  if (told?.kind === "malformed") return told;
  if (method === "CONNECT" && isSuccess(head.status)) return CLOSE;
  if (method === "HEAD" || isBodiless(head.status)) return NONE;
  return told ?? CLOSE;
}

/** Does a response with this status never have a body (RFC 9110 §6.4.1)? */
export function isBodiless(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Does the connection go on behind this response (RFC 9112 §9.3)? */
export function isKeptAlive({ version, headers }: ResponseHead): boolean {
  const options = listOf(headers, "connection");
  return !options.includes("close") && (version !== "1.0" || options.includes("keep-alive"));
}

/** The whole list that the headers of one name (in lower case) make, in lower case. */
export function listOf(headers: readonly HeaderField[], name: string): string[] {
  const items: string[] = [];
  for (const [key, value] of headers) {
    if (key.length !== name.length || key.toLowerCase() !== name) continue;
    for (const item of value.toLowerCase().split(",")) items.push(item.trim());
  }
  return items;
}

function toldFraming(headers: readonly HeaderField[], version: string): Framing | Ambiguous | undefined {
  const codings = listOf(headers, "transfer-encoding");
  const lengths = listOf(headers, "content-length");
  if (codings.length > 0) {
    if (lengths.length > 0) return ambiguous("both Content-Length and Transfer-Encoding");
    if (version === "1.0") return ambiguous("Transfer-Encoding in HTTP/1.0"); // RFC 9112 §6.1
    return codedFraming(codings);
  }
  const [length] = lengths;
  if (length === undefined) return undefined;
  if (lengths.length > 1) return ambiguous("more than one Content-Length");
  if (!DIGITS.test(length)) return ambiguous("Content-Length is no number");
  return Number(length) === 0 ? NONE : { kind: "length", bytes: Number(length) };
}

function codedFraming(codings: readonly string[]): Framing | Ambiguous {
  const isChunked = codings.at(-1) === "chunked";
  const others = isChunked ? codings.slice(0, -1) : codings;
  if (!others.every((coding) => CODINGS.has(coding))) return ambiguous("unknown transfer coding");
  return isChunked ? CHUNKED : CLOSE;
}

function ambiguous(reason: string): Ambiguous {
  return { kind: "malformed", reason };
}
