import { latin1 } from "../codecs/latin1.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer, startsWith } from "./sniffer.ts";

/** Nothing is told of the bytes: what a pattern matched could still grow. */
export type BytesInfo = Readonly<Record<string, never>>;

/** How the sniffer is called in logs and `session.protocol`; default `"bytes"`. */
export interface PrefixOptions {
  readonly name?: string;
}

/** Options of a pattern, which cannot always tell by itself when it has seen enough. */
export interface PatternOptions extends PrefixOptions {
  /** A pattern that has not matched within so many bytes does not match. Default 1,024. */
  readonly maxBytes?: number;
  /** First bytes that the pattern matches, to find routes that overlap at start; default: its literal text, if that matches. */
  readonly example?: string | Uint8Array;
}

const MAX_BYTES = 1024; // first lines and headers are shorter, and a pattern is tried again whenever bytes arrive
/** Pieces of a pattern: an escape, a whole class, the opening of a group, or one character. */
const PIECE = /\\(?:x[0-9A-Fa-f]{2}|.)|\[(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|:|<[^>]*>)|./gs;
const CONTROLS: ReadonlyMap<string, string> = new Map([
  ["\\r", "\r"],
  ["\\n", "\n"],
  ["\\t", "\t"],
  ["\\0", "\0"],
]);
/** What looks at bytes that may not be there yet. A look behind is fine. */
const LOOKS_AHEAD = new Set(["$", "\\b", "\\B", "(?=", "(?!"]);

/**
 * A protocol of your own by its first bytes. In texts and patterns one character is one byte (`"\xff"` is 255).
 * A prefix mismatches at the first different byte. A pattern is asked until it matches or `maxBytes` are there, and keeps
 * later routes waiting so long; when it begins with `^` and literal text, it mismatches as early as a prefix.
 * @throws TypeError for a prefix or pattern that matches no bytes at all, and for a pattern whose match later bytes could undo
 */
export function bytes(prefix: string | Uint8Array, options?: PrefixOptions): Sniffer<string, BytesInfo>;
export function bytes(pattern: RegExp, options?: PatternOptions): Sniffer<string, BytesInfo>;
export function bytes(what: string | Uint8Array | RegExp, options: PatternOptions = {}): Sniffer<string, BytesInfo> {
  return what instanceof RegExp ? byPattern(what, options) : byPrefix(toBytes(what), options);
}

function byPrefix(prefix: Uint8Array, { name = "bytes" }: PrefixOptions): Sniffer<string, BytesInfo> {
  if (prefix.length === 0) throw new TypeError("bytes: the prefix is empty");
  return {
    name,
    examples: [prefix],
    sniff(head) {
      const start = startsWith(head, prefix);
      if (start.kind === "more") return more(head.length + 1); // the very next byte may differ
      return start.kind === "match" ? match({}) : mismatch;
    },
  };
}

function byPattern(source: RegExp, options: PatternOptions): Sniffer<string, BytesInfo> {
  const { name = "bytes", maxBytes = MAX_BYTES, example } = options;
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError(`bytes: maxBytes is no count: ${maxBytes}`);
  const pieces = checked(source);
  const pattern = new RegExp(source.source, source.flags.replace("g", "")); // g would remember where it stopped
  const literal = literalOf(pieces);
  const fold = (text: string): string => (pattern.ignoreCase ? text.toLowerCase() : text);
  const start = isAnchored(pieces, pattern) ? fold(literal) : "";
  const sniff: Sniffer<string, BytesInfo>["sniff"] = (head) => {
    const text = textOf(head, maxBytes);
    if (!start.startsWith(fold(text.slice(0, start.length)))) return mismatch;
    if (pattern.test(text)) return match({});
    return head.length < maxBytes ? more(head.length + 1) : mismatch;
  };
  const examples = [toBytes(example ?? literal)].filter((candidate) => sniff(candidate).kind === "match");
  if (example !== undefined && examples.length === 0)
    throw new TypeError(`bytes: ${source} does not match its example`);
  return { name, examples, sniff };
}

const usualTextOf = perBytes((head) => ({ text: latin1(head, 0, Math.min(head.length, MAX_BYTES)) }));

/** Patterns are many, and the text of a head is one for those that are content with its usual size. */
function textOf(head: Uint8Array, maxBytes: number): string {
  return maxBytes === MAX_BYTES ? usualTextOf(head).text : latin1(head, 0, Math.min(head.length, maxBytes));
}

function checked(pattern: RegExp): readonly string[] {
  const pieces = pattern.source.match(PIECE) ?? [];
  const ahead = pieces.find((piece) => LOOKS_AHEAD.has(piece));
  if (ahead !== undefined) {
    throw new TypeError(
      `bytes: ${pattern} has ${ahead}, and so later bytes could undo a match; name the bytes that follow`,
    );
  }
  if (pattern.sticky) throw new TypeError(`bytes: ${pattern} is sticky; begin it with ^`);
  if (new RegExp(pattern.source, pattern.flags).test(""))
    throw new TypeError(`bytes: ${pattern} matches no bytes at all`);
  return pieces;
}

/** Must what it matches stand at the very start, whichever alternative is taken? */
function isAnchored(pieces: readonly string[], pattern: RegExp): boolean {
  let depth = 0;
  for (const piece of pieces) {
    if (piece.startsWith("(")) depth++;
    else if (piece === ")") depth--;
    else if (piece === "|" && depth === 0) return false;
  }
  return pieces[0] === "^" && !pattern.multiline;
}

/** The text that the pattern begins with, before anything that stands for more than one text. */
function literalOf(pieces: readonly string[]): string {
  const literals: string[] = [];
  for (const piece of pieces.slice(pieces[0] === "^" ? 1 : 0)) {
    const literal = CONTROLS.get(piece) ?? literalChar(piece);
    if (literal !== undefined) {
      literals.push(literal);
      continue;
    }
    if (piece === "*" || piece === "?" || piece === "{") literals.pop(); // the last one may be absent
    break;
  }
  return literals.join("");
}

/** Only ASCII: a pattern that ignores case folds other letters by rules of its own. */
function literalChar(piece: string): string | undefined {
  if (piece.startsWith("\\x")) return asciiOf(Number.parseInt(piece.slice(2), 16));
  if (piece.startsWith("\\")) return /^\\[^\w\s]$/.test(piece) ? piece.slice(1) : undefined;
  return /^[^[(){}*+?.^|]$/.test(piece) ? asciiOf(piece.charCodeAt(0)) : undefined;
}

function asciiOf(code: number): string | undefined {
  return code < 0x80 ? String.fromCharCode(code) : undefined;
}

function toBytes(text: string | Uint8Array): Uint8Array {
  if (typeof text !== "string") return text;
  if (/[^\0-\xff]/.test(text)) throw new TypeError("bytes: a character above U+00FF is no byte; give a Uint8Array");
  return Buffer.from(text, "latin1");
}
