import { isUtf8 } from "node:buffer";
import type { Refusal } from "../../errors.ts";
import { latin1 } from "../latin1.ts";
import { refuseHttp } from "./http.ts";
import { sentenceOf } from "./words.ts";

/** How much of what a client said is looked at. */
const SHOWN_BYTES = 256;
const LF = 0x0a;
const REQUEST = /^([A-Z]{1,24}) (\S+) HTTP\/(1\.\d)\r?\n/;
const CONTROLS = /[^\t\r\n\x20-\x7e\x80-\xff]/;

/**
 * Refuses a client whose protocol nobody knows: with a line of text when what it said looks like text, with HTTP when that began
 * like a request; else not at all, since to a binary protocol any answer is garbage.
 */
export function refuseUnknown(refusal: Refusal, head: Uint8Array): Uint8Array | undefined {
  const shown = head.subarray(0, SHOWN_BYTES);
  if (!looksLikeText(shown)) return undefined;
  const [, method, target, version] = REQUEST.exec(latin1(shown)) ?? [];
  if (method && target && version) return refuseHttp(refusal, { method, target, version });
  return refuseText(refusal);
}

/** One line, ended as the line protocols of the internet end theirs. */
export function refuseText(refusal: Refusal): Uint8Array {
  return Buffer.from(`${sentenceOf(refusal)}\r\n`);
}

/** A line, or four letters at the least: a shorter beginning is as likely binary. The last character may be cut in two. */
function looksLikeText(bytes: Uint8Array): boolean {
  if (bytes.length < 4 && bytes.at(-1) !== LF) return false;
  if (CONTROLS.test(latin1(bytes))) return false;
  return [0, 1, 2, 3].some((cut) => isUtf8(bytes.subarray(0, bytes.length - cut)));
}
