/** The hash that the server behind makes of what it gets: FNV-1a, 32 bits, as hexadecimal text. @param {Buffer} bytes */
export function fnv1a(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
