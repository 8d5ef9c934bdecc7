import type { BodyScanner } from "./body-scanner.ts";
import { ChunkedBody } from "./chunked.ts";
import type { Framing } from "./framing.ts";

/** The scanner for a body; undefined where there is none. */
export function bodyScanner(framing: Framing): BodyScanner | undefined {
  switch (framing.kind) {
    case "none":
      return undefined;
    case "length":
      return new SizedBody(framing.bytes);
    case "chunked":
      return new ChunkedBody();
    case "close":
      return new SizedBody(Number.POSITIVE_INFINITY);
    default:
      return framing satisfies never;
  }
}

/** So many bytes; all that come, when it is infinitely many. */
class SizedBody implements BodyScanner {
  readonly span = "data";
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get state(): "open" | "done" {
    return this.#left > 0 ? "open" : "done";
  }

  step(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    return end;
  }
}
