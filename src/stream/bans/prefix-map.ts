import type { IpRange } from "../../codecs/ip-range.ts";

/** The first bits of an address, as a key of a map: equal for addresses that begin so, and for no others of the same length. */
type PrefixKey<Key> = (bytes: Uint8Array, bits: number) => Key;

/** Values by ranges of addresses of one family: a map for each prefix length that there is. */
export class PrefixMap<Key, Value> {
  readonly #keyOf: PrefixKey<Key>;
  /** The narrowest first. */
  #lengths: readonly { readonly bits: number; readonly values: Map<Key, Value> }[] = [];

  constructor(keyOf: PrefixKey<Key>) {
    this.#keyOf = keyOf;
  }

  /** How many prefix lengths there are. */
  get size(): number {
    return this.#lengths.length;
  }

  set({ bytes, bits }: IpRange, value: Value): void {
    const known = this.#lengths.find((length) => length.bits === bits);
    const length = known ?? { bits, values: new Map<Key, Value>() };
    if (!known) this.#lengths = [...this.#lengths, length].sort((one, other) => other.bits - one.bits);
    length.values.set(this.#keyOf(bytes, bits), value);
  }

  delete({ bytes, bits }: IpRange): void {
    const known = this.#lengths.find((length) => length.bits === bits);
    known?.values.delete(this.#keyOf(bytes, bits));
    if (known?.values.size === 0) this.#lengths = this.#lengths.filter((length) => length !== known);
  }

  /** The value of exactly this range. */
  get({ bytes, bits }: IpRange): Value | undefined {
    return this.#lengths.find((length) => length.bits === bits)?.values.get(this.#keyOf(bytes, bits));
  }

  /** The value of the narrowest range that has the address and passes. */
  find(bytes: Uint8Array, passes: (value: Value) => boolean): Value | undefined {
    for (const { bits, values } of this.#lengths) {
      const value = values.get(this.#keyOf(bytes, bits));
      if (value !== undefined && passes(value)) return value;
    }
    return undefined;
  }
}

/** Of 4 bytes: a number. */
export function v4Key(bytes: Uint8Array, bits: number): number {
  const address = ((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  return bits === 0 ? 0 : (address & (-1 << (32 - bits))) >>> 0;
}

/** Of 16 bytes: a character for each two of them that the prefix reaches into. */
export function v6Key(bytes: Uint8Array, bits: number): string {
  let key = "";
  for (let at = 0; at * 16 < bits; at++) {
    const pair = ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0);
    const left = bits - at * 16;
    key += String.fromCharCode(left >= 16 ? pair : pair & (0xffff << (16 - left)));
  }
  return key;
}
