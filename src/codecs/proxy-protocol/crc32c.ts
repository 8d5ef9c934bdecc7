const POLYNOMIAL = 0x82f63b78; // Castagnoli, bits reversed (RFC 3720 §12.1); zlib's crc32 has another one
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  return rest;
});

/** Checksum of a PROXY v2 header (its TLV 0x03): CRC32C as iSCSI defines it (RFC 3720 §12.1), unsigned. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
