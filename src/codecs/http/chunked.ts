import type { BodyScanner } from "./body-scanner.ts";

const MAX_SIZE_DIGITS = 13; // hexadecimal: what a safe integer can hold
const MAX_LINE_BYTES = 4_096; // of a size with its extensions; nobody is known to send more than a signature of 100 bytes
const MAX_TRAILER_BYTES = 16_384; // as a request's head: they are header lines, too
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const HTAB = 0x09;
const SEMICOLON = 0x3b;

/** What the next byte is part of. */
type Place =
  | "size"
  | "gap"
  | "extension"
  | "sizeEnd"
  | "data"
  | "dataCr"
  | "dataEnd"
  | "trailer"
  | "field"
  | "fieldEnd"
  | "end";

/**
 * The chunked coding (RFC 9112 §7.1), with extensions and trailer fields. Strict about line ends, CR LF only: a reader that
 * takes a lone LF for one sees other chunks than a reader that does not.
 */
export class ChunkedBody implements BodyScanner {
  state: BodyScanner["state"] = "open";
  span: BodyScanner["span"] = "framing";
  #place: Place = "size";
  /** Of the chunk: its size while that is read, then what is missing. */
  #left = 0;
  #digits = 0;
  /** Of the line, or of all trailer fields. */
  #length = 0;

  step(bytes: Uint8Array, at: number): number {
    if (this.#place === "data") return this.#data(bytes, at);
    const isTrailer = this.#inTrailer;
    this.span = isTrailer ? "trailer" : "framing";
    let next = at;
    while (next < bytes.length && this.state === "open" && this.#place !== "data" && this.#inTrailer === isTrailer) {
      this.#place = this.#after(bytes[next] ?? 0) ?? this.#refuse();
      next++;
    }
    return next;
  }

  get #inTrailer(): boolean {
    return this.#place === "trailer" || this.#place === "field" || this.#place === "fieldEnd" || this.#place === "end";
  }

  #data(bytes: Uint8Array, at: number): number {
    this.span = "data";
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#place = "dataCr";
    return end;
  }

  /** The place behind this byte; undefined where it must not stand. */
  #after(byte: number): Place | undefined {
    switch (this.#place) {
      case "size":
      case "gap":
      case "extension":
        return this.#sizeLine(byte);
      case "sizeEnd":
        return byte === LF ? this.#chunk() : undefined;
      case "dataCr":
        return byte === CR ? "dataEnd" : undefined;
      case "dataEnd":
        return byte === LF ? "size" : undefined;
      default:
        return this.#trailer(byte);
    }
  }

  #sizeLine(byte: number): Place | undefined {
    if (++this.#length > MAX_LINE_BYTES) return undefined;
    if (byte === CR) return this.#digits > 0 ? "sizeEnd" : undefined;
    if (this.#place === "extension") return isText(byte) ? "extension" : undefined;
    const digit = this.#place === "size" ? hexDigit(byte) : undefined;
    if (digit !== undefined) {
      this.#left = this.#left * 16 + digit;
      return ++this.#digits <= MAX_SIZE_DIGITS ? "size" : undefined;
    }
    if (this.#digits === 0) return undefined;
    if (byte === SP || byte === HTAB) return "gap"; // servers in use pad the size with spaces
    return byte === SEMICOLON ? "extension" : undefined;
  }

  #chunk(): Place {
    const isLast = this.#left === 0;
    this.#length = 0;
    this.#digits = 0;
    return isLast ? "trailer" : "data";
  }

  #trailer(byte: number): Place | undefined {
    if (++this.#length > MAX_TRAILER_BYTES) return undefined;
    if (this.#place === "fieldEnd") return byte === LF ? "trailer" : undefined;
    if (this.#place === "end") {
      if (byte !== LF) return undefined;
      this.state = "done";
      return "end";
    }
    if (byte === CR) return this.#place === "trailer" ? "end" : "fieldEnd";
    return isText(byte) ? "field" : undefined;
  }

  #refuse(): Place {
    this.state = "malformed";
    return "end";
  }
}

/** RFC 9110 §5.5: what may be in a line, controls excluded. */
function isText(byte: number): boolean {
  return (byte >= SP && byte !== 0x7f) || byte === HTAB;
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}
