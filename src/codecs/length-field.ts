/** A number that says how long something is. */
export interface LengthField {
  /** Bytes of the number. */
  readonly size: number;
  readonly endian: "big" | "little";
}

/**
 * Reads the number at `at`. `filler` stands for each byte that is not there yet: with zeros the number is the smallest
 * that it can become, with 255 the largest. Beyond 2^53 it is rounded, and larger than any limit all the same.
 */
export function readLength(bytes: Uint8Array, { size, endian }: LengthField, at = 0, filler = 0): number {
  let value = 0;
  for (let index = 0; index < size; index++) {
    value = value * 256 + (bytes[at + (endian === "big" ? index : size - 1 - index)] ?? filler);
  }
  return value;
}

/** Writes the number at `at`, where it must fit. */
export function writeLength(bytes: Uint8Array, { size, endian }: LengthField, value: number, at = 0): void {
  let left = value;
  for (let index = 0; index < size; index++) {
    bytes[at + (endian === "big" ? size - 1 - index : index)] = left % 256;
    left = Math.floor(left / 256);
  }
}
