const ROUNDS_AT_END = 3;

/**
 * HalfSipHash-1-3 of words of which the last says how long the key is: keys come from the network, and whoever does not
 * know the seed cannot choose many that share a bucket.
 */
export function halfSipHash(words: Int32Array, count: number, seed0: number, seed1: number): number {
  let v0 = seed0 | 0;
  let v1 = seed1 | 0;
  let v2 = seed0 ^ 0x6c_79_67_65;
  let v3 = seed1 ^ 0x74_65_64_62;
  for (let at = 0; at < count + ROUNDS_AT_END; at++) {
    const word = at < count ? (words[at] ?? 0) : 0; // the last rounds have no input
    if (at === count) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
