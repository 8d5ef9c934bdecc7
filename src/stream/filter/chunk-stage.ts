import { isPending } from "../hooks.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import type { ChunkFilterWithEnd } from "./body-filter.ts";
import { piecesOf } from "./bytes-of.ts";
import type { Pieces, Stage } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];

/** A user's filter of raw bytes. */
export class ChunkStage implements Stage {
  readonly #filter: ChunkFilterWithEnd;
  readonly #session: FilterSession;
  #chunk: Buffer | undefined;

  constructor(filter: ChunkFilterWithEnd, session: FilterSession) {
    this.#filter = filter;
    this.#session = session;
  }

  push(chunk: Buffer): void {
    this.#chunk = chunk;
  }

  next(): Awaitable<Pieces | undefined> {
    const chunk = this.#chunk;
    if (!chunk) return undefined;
    this.#chunk = undefined;
    return answerOf(this.#filter.chunk(chunk, this.#session), chunk);
  }

  end(): Awaitable<Pieces | undefined> {
    return answerOf(this.#filter.end?.(this.#session), NOTHING);
  }
}

function answerOf(returned: Awaitable<unknown>, original: Pieces): Awaitable<Pieces> {
  if (!isPending(returned)) return piecesOf(returned, original);
  return Promise.resolve(returned).then((later) => piecesOf(later, original));
}
