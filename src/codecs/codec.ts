/**
 * What a codec makes of the bytes so far. `size` and `atLeast` count from the first byte; a frame has at least one.
 * `tooLarge`: the bytes may well be a frame, but a larger one than the codec's limit.
 */
export type Decoded<T> =
  | { readonly kind: "frame"; readonly value: T; readonly size: number }
  | { readonly kind: "more"; readonly atLeast: number }
  | { readonly kind: "malformed"; readonly reason: string; readonly tooLarge?: boolean };

/** Bytes to value and back: pure, never throws on any bytes. One definition sniffs, frames and answers. */
export interface Codec<T> {
  readonly name: string;
  /**
   * The first value in `bytes`, how many bytes it took, or why there is none (yet). The value keeps nothing of `bytes`,
   * whose memory may be used again.
   */
  decode(bytes: Uint8Array): Decoded<T>;
  /** The bytes of one frame. Throws TypeError or RangeError on what is no value of the codec. */
  encode(value: T): Uint8Array;
  /**
   * Called once for each direction of a session: the codec that it returns answers as this one, but has a memory. Its
   * `decode` is given the same bytes with more behind them until it has decided, then those behind the frame, and so on.
   * For frames whose end cannot be told from their first bytes: looking for it from the start, again and again, costs n²
   * steps when n bytes trickle in. And for what one frame says about those to come: `conversation` is the same object for
   * both directions.
   */
  readonly begin?: (conversation: object) => Codec<T>;
}

/** Decodes growing bytes. */
export type Decode<T> = (bytes: Uint8Array) => Decoded<T>;

/** What `begin` returns for a codec that remembers the frame at hand alone. `start` gives a decoder of one frame. */
export function remembering<T>({ name, encode }: Codec<T>, start: () => Decode<T>): Codec<T> {
  let current: Decode<T> | undefined;
  return {
    name,
    encode,
    decode(bytes) {
      current ??= start();
      const decoded = current(bytes);
      if (decoded.kind === "frame") current = undefined;
      return decoded;
    },
  };
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

/** Refuses a frame for its size alone, as soon as that is known and before it is buffered. */
export const tooLarge = (maxBytes: number): ReturnType<typeof malformed> & { readonly tooLarge: true } => ({
  kind: "malformed",
  reason: `more than ${maxBytes} bytes`,
  tooLarge: true,
});
