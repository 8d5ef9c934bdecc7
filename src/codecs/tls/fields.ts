import { latin1 } from "../latin1.ts";

/** A message, and what is wrong with it. */
interface Source {
  readonly bytes: Uint8Array;
  readonly faults: string[];
}

/**
 * Reads the fields of a TLS structure in order (RFC 8446 §3.4: vectors with their length in front), each in its place: a view
 * of every vector would cost more than all that is in them. The first fault is noted, and from there on everything reads as
 * empty: callers ask for faults once, at the end.
 */
export class Fields {
  readonly #source: Source;
  readonly #bytes: Uint8Array;
  readonly #name: string;
  #at: number;
  readonly #end: number;

  constructor(source: Source, name: string, at = 0, end: number = source.bytes.length) {
    this.#source = source;
    this.#bytes = source.bytes;
    this.#name = name;
    this.#at = at;
    this.#end = end;
  }

  /** How many bytes are left. A loop on it ends, since a fault consumes the rest. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Notes why the structure is not acceptable. */
  fail(reason: string): void {
    this.#source.faults.push(`${this.#name}: ${reason}`);
    this.#at = this.#end;
  }

  skip(size: number): void {
    this.#advance(size);
  }

  u8(): number {
    const at = this.#advance(1);
    return at < this.#end ? (this.#bytes[at] ?? 0) : 0;
  }

  u16(): number {
    const at = this.#advance(2);
    return at < this.#end ? ((this.#bytes[at] ?? 0) << 8) | (this.#bytes[at + 1] ?? 0) : 0;
  }

  /** What is in a vector with its length in one byte; `least` is the floor that the RFC sets for it. */
  vector8(name: string, least = 0): Fields {
    return this.#vector(name, this.u8(), least);
  }

  vector16(name: string, least = 0): Fields {
    return this.#vector(name, this.u16(), least);
  }

  /** All that is left as text, one character per byte. */
  text(): string {
    return latin1(this.#bytes, this.#at, this.#end);
  }

  rest8(): number[] {
    const values: number[] = [];
    while (this.left) values.push(this.u8());
    return values;
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

  /** Where the field begins; the end of all when it is cut short. */
  #advance(size: number): number {
    const start = this.#at;
    this.#at = start + size;
    if (this.#at <= this.#end) return start;
    this.fail("cut short");
    return this.#at;
  }

  #vector(name: string, size: number, least: number): Fields {
    const start = this.#advance(size);
    const end = this.#at;
    if (end - start < least) this.fail(`a list of ${end - start} bytes, at least ${least} are due`);
    return new Fields(this.#source, name, start, end);
  }
}
