/** How far a search has come. Of the bytes before `at`, the last `matched` may be the delimiter's beginning. */
export interface Search {
  at: number;
  matched: number;
  /** Bytes that may still be told apart before the search pauses. */
  rest: number;
}

/**
 * Finds a delimiter in bytes that keep coming, each byte looked at once (Knuth, Morris, Pratt): trickled input stays
 * linear, and it is known at any time which last bytes may belong to the delimiter.
 */
export class Delimiter {
  readonly bytes: Buffer;
  /** For each length of a match: the length of the longest shorter match that ends at the same byte. */
  readonly #shorter: number[];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#shorter = [0, 0];
    for (let length = 1, shorter = 0; length < bytes.length; length++) {
      while (shorter > 0 && bytes[shorter] !== bytes[length]) shorter = this.#shorter[shorter] ?? 0;
      if (bytes[shorter] === bytes[length]) shorter++;
      this.#shorter.push(shorter);
    }
  }

  /** Goes on with a search: until the delimiter's end (`found`), all bytes seen (`more`), or no `rest` left (`full`). */
  advance(bytes: Buffer, search: Search): "found" | "more" | "full" {
    const { bytes: pattern } = this;
    while (search.at < bytes.length) {
      if (bytes[search.at] === pattern[search.matched]) {
        search.at++;
        search.matched++;
        if (search.matched === pattern.length) return "found";
        continue;
      }
      search.rest -= search.matched === 0 ? this.#skip(bytes, search) : this.#fallBack(bytes[search.at], search);
      if (search.rest <= 0) return "full";
    }
    return "more";
  }

  /** Over bytes at which the delimiter cannot begin. */
  #skip(bytes: Buffer, search: Search): number {
    const next = bytes.indexOf(this.bytes.subarray(0, 1), search.at);
    const skipped = Math.min((next === -1 ? bytes.length : next) - search.at, search.rest);
    search.at += skipped;
    return skipped;
  }

  /** To a shorter match that `byte` continues, else to none. The cost against `rest` is counted as OpenResty counts it. */
  #fallBack(byte: number | undefined, search: Search): number {
    const before = search.matched;
    let shorter = this.#shorter[before] ?? 0;
    while (shorter > 0 && this.bytes[shorter] !== byte) shorter = this.#shorter[shorter] ?? 0;
    if (shorter === 0) {
      search.matched = 0;
      return before;
    }
    search.at++;
    search.matched = shorter + 1;
    return search.matched;
  }
}
