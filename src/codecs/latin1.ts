import { asBuffer } from "./as-buffer.ts";

/** Bytes as text, one character per byte: for protocols whose words are ASCII and whose rest must not be lost or refused. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return asBuffer(bytes).toString("latin1", start, end);
}
