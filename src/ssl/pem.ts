import { messageOf } from "../errors.ts";

const BEGIN = "-----BEGIN CERTIFICATE-----";
const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM text, one block each, without the text and the keys around them (RFC 7468 §5).
 * Throws a TypeError when there is none, or when one is cut off: half of a file must never pass for the whole.
 */
export function certificateBlocks(text: string): readonly [string, ...string[]] {
  const begun = text.split(BEGIN).length - 1;
  if (begun === 0)
    throw new TypeError(`no PEM certificate in it${looksLikePath(text) ? " (a path? PEM text is expected)" : ""}`);
  const [first, ...others] = text.match(BLOCK) ?? [];
  if (first === undefined || others.length + 1 !== begun) throw new TypeError("PEM certificate is cut off or damaged");
  return [first, ...others];
}

/** True for text that holds PEM, false for a path to it. */
export function isPem(text: string): boolean {
  return text.includes("-----BEGIN ");
}

/** What OpenSSL complains about, without its numbers and library names; other errors as they are. */
export function opensslReason(cause: unknown): string {
  const text = messageOf(cause);
  return text.startsWith("error:") ? text.split(":").at(-1)?.trim() || text : text;
}

function looksLikePath(text: string): boolean {
  return text.length > 0 && text.length < 4_096 && !text.includes("\n");
}
