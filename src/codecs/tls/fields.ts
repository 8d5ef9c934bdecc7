/**
 * Reads the fields of a TLS structure in order (RFC 8446 §3.4: vectors with their length in front).
 * The first fault is noted, and from there on everything reads as empty: callers ask for faults once, at the end.
 */
export class Fields {
  readonly #bytes: Uint8Array;
  readonly #name: string;
  readonly #faults: string[];
  #at = 0;

  constructor(bytes: Uint8Array, name: string, faults: string[]) {
    this.#bytes = bytes;
    this.#name = name;
    this.#faults = faults;
  }

  /** Whether bytes are left. A loop on it ends, since a fault consumes the rest. */
  get left(): boolean {
    return this.#at < this.#bytes.length;
  }

  /** Notes why the structure is not acceptable. */
  fail(reason: string): void {
    this.#faults.push(`${this.#name}: ${reason}`);
    this.#at = this.#bytes.length;
  }

  take(size: number): Uint8Array {
    const start = this.#advance(size);
    return this.#bytes.subarray(start, this.#at);
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] ?? 0;
  }

  u16(): number {
    const at = this.#advance(2);
    return ((this.#bytes[at] ?? 0) << 8) | (this.#bytes[at + 1] ?? 0);
  }

  /** A vector with its length in one byte; `least` is the floor that the RFC sets for it. */
  vector8(least = 0): Uint8Array {
    return this.#atLeast(least, this.take(this.u8()));
  }

  vector16(least = 0): Uint8Array {
    return this.#atLeast(least, this.take(this.u16()));
  }

  /** All that is left as 16-bit values. */
  rest16(): number[] {
    const values: number[] = [];
    while (this.left) values.push(this.u16());
    return values;
  }

  /** Call after the last field: bytes behind it are a fault. */
  end(): void {
    if (this.left) this.fail("trailing bytes");
  }

  /** Where the field begins; past all bytes when it is cut short. */
  #advance(size: number): number {
    const start = this.#at;
    this.#at = start + size;
    if (this.#at <= this.#bytes.length) return start;
    this.fail("cut short");
    return this.#at;
  }

  #atLeast(least: number, bytes: Uint8Array): Uint8Array {
    if (bytes.length < least) this.fail(`a list of ${bytes.length} bytes, at least ${least} are due`);
    return bytes;
  }
}
