import { UsageError } from "../config/config-error.ts";

/** Reads bytes written in hex; white space, colons and a leading `0x` are fine. @throws UsageError */
export function bytesOfHex(hex: string): Uint8Array {
  const digits = hex.replace(/^\s*0x/i, "").replace(/[\s:]/g, "");
  if (/^(?:[0-9a-f]{2})*$/i.test(digits)) return Buffer.from(digits, "hex");
  throw new UsageError(digits.length % 2 === 1 && /^[0-9a-f]*$/i.test(digits) ? ODD : "--hex: expected hex digits");
}

const ODD = "--hex: expected two digits for each byte, got an odd number of them";

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["r", "\r"],
  ["n", "\n"],
  ["t", "\t"],
  ["0", "\0"],
  ["\\", "\\"],
  ['"', '"'],
]);

/** Reads text with `\r`, `\n`, `\t`, `\0`, `\\` and `\x16`; what is not escaped is UTF-8. @throws UsageError */
export function bytesOfText(text: string): Uint8Array {
  const parts = text.match(/\\x[0-9a-f]{2}|\\.?|[^\\]+/gis) ?? [];
  return Buffer.concat(parts.map(bytesOfPart));
}

function bytesOfPart(part: string): Uint8Array {
  if (!part.startsWith("\\")) return Buffer.from(part, "utf8");
  if (part.length === "\\x16".length) return Buffer.from(part.slice(2), "hex");
  const meant = ESCAPES.get(part.slice(1));
  if (meant !== undefined) return Buffer.from(meant);
  throw new UsageError(
    `--text: ${part} is no escape; expected \\r, \\n, \\t, \\0, \\\\, \\" or \\x and two hex digits`,
  );
}
