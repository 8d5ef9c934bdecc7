/** Bytes as text, one character per byte: for protocols whose words are ASCII and whose rest must not be lost or refused. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1", start, end);
}
