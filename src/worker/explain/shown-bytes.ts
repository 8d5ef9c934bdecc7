/** Bytes in one message. */
const MAX_SHOWN = 24;

/** Bytes for people: hex, and the same as text with escapes, both cut where they get long. */
export function shownBytes(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, MAX_SHOWN));
  const hex = shown.toString("hex").replace(/..(?=.)/g, "$& ");
  const more = bytes.length > MAX_SHOWN ? "…" : "";
  return `${hex}${more} ${shownText(bytes, MAX_SHOWN)}`;
}

/** Bytes as text with escapes, in quotes, cut behind `max` bytes. */
export function shownText(bytes: Uint8Array, max: number): string {
  const text = Array.from(bytes.subarray(0, max), shownByte).join("");
  return `"${text}${bytes.length > max ? "…" : ""}"`;
}

function shownByte(byte: number): string {
  if (byte === 0x0d) return "\\r";
  if (byte === 0x0a) return "\\n";
  if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
}
