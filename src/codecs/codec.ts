/** What a codec makes of the bytes so far. `atLeast` counts from the first byte. */
export type Decoded<T> =
  | { readonly kind: "frame"; readonly value: T; readonly size: number }
  | { readonly kind: "more"; readonly atLeast: number }
  | { readonly kind: "malformed"; readonly reason: string };

/** Bytes to value and back: pure, never throws on any bytes. One definition sniffs, frames and answers. */
export interface Codec<T> {
  readonly name: string;
  /** The first value in `bytes`, how many bytes it took, or why there is none (yet). */
  decode(bytes: Uint8Array): Decoded<T>;
  encode(value: T): Uint8Array;
}

export const frame = <T>(value: T, size: number): Decoded<T> => ({ kind: "frame", value, size });
export const needs = (atLeast: number): { readonly kind: "more"; readonly atLeast: number } => ({
  kind: "more",
  atLeast,
});
export const malformed = (reason: string): { readonly kind: "malformed"; readonly reason: string } => ({
  kind: "malformed",
  reason,
});
