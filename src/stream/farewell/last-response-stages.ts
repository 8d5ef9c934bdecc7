import type { LastResponse } from "../../codecs/http/last-response.ts";
import type { Pieces, Stage } from "../filter/stage.ts";

/** The stages that make the next response of a session of HTTP/1 its last one. `onOver`: it is on its way, and nothing may follow. */
export function lastResponseStages(
  last: LastResponse,
  onOver: () => void,
): { readonly up: Stage; readonly down: Stage } {
  return { up: new Listening(last), down: new Closing(last, onOver) };
}

/** Looks at requests, and changes nothing. */
class Listening implements Stage {
  readonly #last: LastResponse;
  #chunk: Buffer | undefined;

  constructor(last: LastResponse) {
    this.#last = last;
  }

  push(chunk: Buffer): void {
    this.#last.fromClient(chunk);
    this.#chunk = chunk;
  }

  next(): Pieces | undefined {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    return chunk;
  }

  end(): undefined {}
}

class Closing implements Stage {
  readonly #last: LastResponse;
  readonly #onOver: () => void;
  #pieces: readonly Buffer[] | undefined;

  constructor(last: LastResponse, onOver: () => void) {
    this.#last = last;
    this.#onOver = onOver;
  }

  push(chunk: Buffer): void {
    const wasOver = this.#last.isOver;
    this.#pieces = this.#last.fromPeer(chunk);
    if (this.#last.isOver && !wasOver) this.#onOver(); // what is answered now still goes
  }

  next(): Pieces | undefined {
    const pieces = this.#pieces;
    this.#pieces = undefined;
    return pieces;
  }

  end(isCut: boolean): Pieces | undefined {
    return isCut ? undefined : this.#last.rest();
  }
}
