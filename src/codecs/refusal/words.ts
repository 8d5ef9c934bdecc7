import type { Refusal } from "../../errors.ts";

/** Enough for a sentence or two; a refusal must not cost more than what it refuses. */
const MAX_REASON_CHARS = 512;

/** What is said where nobody wrote a reason for the client's eyes. RFC 9110 §15, in words that fit other protocols, too. */
const PHRASES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  421: "Misdirected Request",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  302: "Found",
  307: "Temporary Redirect",
  301: "Moved Permanently",
  308: "Permanent Redirect",
};

/** A status in words that tell nothing of this gateway. */
export function phraseOf(status: number): string {
  return PHRASES[status] ?? (status >= 500 ? "Service Unavailable" : "Refused");
}

/** The reason on one line, of bounded length: no text of an operator can end a line, a header or a field of a protocol. */
export function reasonOf({ reason, status }: Refusal): string {
  const chars = Array.from(reason.slice(0, 2 * MAX_REASON_CHARS)).slice(0, MAX_REASON_CHARS);
  const line = chars.map((char) => (isControl(char) ? " " : char)).join("");
  return line.trim() || phraseOf(status);
}

/** Reason, time and address as one line: for protocols that have a place for text only. */
export function sentenceOf(refusal: Refusal): string {
  const { redirect } = refusal;
  const seconds = secondsOf(refusal);
  const hints = [
    seconds === undefined ? "" : `try again in ${seconds} s`,
    redirect === undefined ? "" : `use ${redirect}`,
  ];
  return [reasonOf(refusal), ...hints.filter((hint) => hint !== "")].join("; ");
}

/** When to try again, in whole seconds: at least one, and never too early. */
export function secondsOf({ retryAfterMs }: Refusal): number | undefined {
  return retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1000));
}

function isControl(char: string): boolean {
  const code = char.charCodeAt(0);
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
}
