import { asBuffer } from "../../codecs/as-buffer.ts";
import type { BodyPart } from "../../codecs/http/response-follower.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import { piecesOf } from "./bytes-of.ts";
import type { HttpBodyHooks, HttpMessage } from "./http-body.ts";
import type { Pieces } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];
const CRLF = Buffer.from("\r\n");
const LAST_CHUNK = Buffer.from("0\r\n");

/** The body of one message on its way through a filter. */
export class BodyRun {
  readonly #filter: HttpBodyHooks;
  readonly #session: FilterSession;
  readonly #message: HttpMessage;
  readonly #isChunked: boolean;
  /** The last chunk has gone; trailer fields may follow. */
  #hasEnded = false;

  /** `as`: how the message is framed now. */
  constructor(filter: HttpBodyHooks, session: FilterSession, message: HttpMessage, as: "chunked" | "close") {
    this.#filter = filter;
    this.#session = session;
    this.#message = message;
    this.#isChunked = as === "chunked";
  }

  /** What goes out for a part of the body as it came. */
  take(part: Exclude<BodyPart, { kind: "malformed" }>): Awaitable<Pieces> {
    switch (part.kind) {
      case "data":
        return this.#data(asBuffer(part.bytes));
      case "framing":
        return NOTHING; // there is another one
      case "trailer":
        return this.#last(this.#isChunked ? asBuffer(part.bytes) : undefined);
      case "end":
        return this.#last(this.#isChunked && !this.#hasEnded ? CRLF : undefined);
      default:
        return part satisfies never;
    }
  }

  /** A body that ends with the connection is at its end. */
  close(): Awaitable<Pieces> {
    return this.#last(undefined);
  }

  #data(bytes: Buffer): Awaitable<Pieces> {
    const returned = this.#filter.piece(bytes, this.#session, this.#message);
    if (!isPending(returned)) return this.#framed(piecesOf(returned, bytes));
    return Promise.resolve(returned).then((later) => this.#framed(piecesOf(later, bytes)));
  }

  /** The filter's last bytes, then the last chunk, once; then `rest`. */
  #last(rest: Buffer | undefined): Awaitable<Pieces> {
    const behind = rest ? [rest] : NOTHING;
    if (this.#hasEnded) return behind;
    this.#hasEnded = true;
    const returned = this.#filter.end?.(this.#message, this.#session);
    const whole = (pieces: Pieces): Pieces => {
      const last = this.#isChunked ? [LAST_CHUNK, ...behind] : behind;
      return [...listOf(this.#framed(pieces)), ...last];
    };
    if (!isPending(returned)) return whole(piecesOf(returned, NOTHING));
    return Promise.resolve(returned).then((later) => whole(piecesOf(later, NOTHING)));
  }

  /** An empty chunk would be the last one. */
  #framed(pieces: Pieces): Pieces {
    if (!this.#isChunked) return pieces;
    const full = listOf(pieces).filter(({ length }) => length > 0);
    return full.flatMap((piece) => [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, CRLF]);
  }
}

function listOf(pieces: Pieces): readonly Buffer[] {
  return Buffer.isBuffer(pieces) ? [pieces] : pieces;
}
