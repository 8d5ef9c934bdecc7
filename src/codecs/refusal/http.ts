import type { Refusal } from "../../errors.ts";
import { phraseOf, reasonOf, secondsOf } from "./words.ts";

/** What an answer depends on. */
export interface RefusedRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
}

const REFUSED = 403;

/** Status codes of redirects that keep the method, and what HTTP/1.0 has for them (RFC 9110 §15.4). */
const PERMANENT: ReadonlySet<number> = new Set([301, 308]);

/** Answers an HTTP/1 request in the place of a server (RFC 9112 §4), and ends the connection. A simple request of 0.9 gets the text alone. */
export function refuseHttp(refusal: Refusal, { method, target, version }: RefusedRequest): Uint8Array {
  const body = `${reasonOf(refusal)}\n`;
  if (version === "0.9") return Buffer.from(body);
  const status = statusOf(refusal, version);
  const seconds = secondsOf(refusal);
  const head = [
    `HTTP/1.1 ${status} ${phraseOf(status)}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    "Connection: close",
    ...(seconds === undefined ? [] : [`Retry-After: ${seconds}`]),
    ...(refusal.redirect === undefined ? [] : [`Location: ${locationOf(refusal.redirect, target)}`]),
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${method === "HEAD" ? "" : body}`);
}

/** A refusal is never a success, whatever the log is to say. */
function statusOf({ status, redirect }: Refusal, version: string): number {
  if (redirect === undefined) return status >= 400 ? status : REFUSED;
  const isOld = version === "1.0";
  return PERMANENT.has(status) ? (isOld ? 301 : 308) : isOld ? 302 : 307;
}

/** An address becomes a reference without scheme, which is the client's own (RFC 3986 §4.2), with the path that it asked for. */
function locationOf(redirect: string, target: string): string {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(redirect);
  return hasScheme ? inAscii(redirect) : `//${inAscii(redirect)}${target.startsWith("/") ? inAscii(target) : "/"}`;
}

/** Nothing in it can end the line. A target has one character per byte, of UTF-8 as well. */
function inAscii(text: string): string {
  return text.replace(/[^\x21-\x7e]/gu, (char) => {
    const bytes = Buffer.from(char, char <= "\xff" ? "latin1" : "utf8");
    return bytes.toString("hex").replace(/../g, "%$&").toUpperCase();
  });
}
