import { isDeepStrictEqual } from "node:util";
import { asBuffer } from "../../codecs/as-buffer.ts";
import type { Codec } from "../../codecs/codec.ts";
import { type ErrorCode, GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import { Unread } from "../unread.ts";
import { piecesOf } from "./bytes-of.ts";
import type { FrameFilter, FrameOptions, FrameResult } from "./frames.ts";
import type { FilterSide, Pieces, Stage } from "./stage.ts";

/** What a frame filter does, with everything looked up. */
export interface FrameSettings<T> extends Required<Pick<FrameOptions, "maxBytes">> {
  readonly codec: Codec<T>;
  readonly onFrame: FrameFilter<T>;
  readonly end: FrameOptions["end"];
}

const NOTHING: readonly Buffer[] = [];

/** A user's filter of frames. Bytes are looked at again only when as many are there as the codec has asked for. */
export class FrameStage<T> implements Stage {
  readonly isFramed = true;
  readonly #settings: FrameSettings<T>;
  readonly #session: FilterSession;
  readonly #from: FilterSide;
  /** The codec with this direction's memory. */
  readonly #codec: Codec<T>;
  readonly #unread = new Unread();
  #atLeast = 1;

  constructor(settings: FrameSettings<T>, session: FilterSession, from: FilterSide) {
    this.#settings = settings;
    this.#session = session;
    this.#from = from;
    this.#codec = this.#begin();
  }

  push(piece: Buffer): void {
    this.#unread.append(piece);
  }

  next(): Awaitable<Pieces | undefined> {
    const { size, bytes } = this.#unread;
    if (size < this.#atLeast) return undefined;
    const decoded = this.#codec.decode(bytes);
    switch (decoded.kind) {
      case "frame":
        return this.#frame(decoded.value, this.#take(decoded.size));
      case "more":
        this.#atLeast = this.#limited(Math.max(decoded.atLeast, size + 1)); // a codec that asks for nothing must not spin
        return undefined;
      case "malformed":
        throw this.#fault(decoded.reason, decoded.tooLarge === true);
      default:
        return decoded satisfies never;
    }
  }

  end(isCut: boolean): Awaitable<Pieces | undefined> {
    if (isCut) return undefined;
    const rest = this.#unread.consume(this.#unread.size);
    const returned = this.#settings.end?.(rest, this.#session);
    if (!isPending(returned)) return piecesOf(returned, rest);
    return Promise.resolve(returned).then((later) => piecesOf(later, rest));
  }

  #take(size: number): Buffer {
    if (!(size > 0 && size <= this.#unread.size)) throw new TypeError(`${this.#codec.name}: a frame of ${size} bytes`);
    this.#atLeast = 1;
    return this.#unread.consume(this.#limited(size));
  }

  #frame(value: T, raw: Buffer): Awaitable<Pieces> {
    const returned = this.#settings.onFrame(value, this.#session);
    if (!isPending(returned)) return this.#pieces(returned, value, raw);
    return Promise.resolve(returned).then((later) => this.#pieces(later, value, raw));
  }

  #pieces(returned: FrameResult<T>, value: T, raw: Buffer): Pieces {
    if (isNothing(returned)) return raw;
    if (returned === null) return NOTHING;
    if (returned === value) return this.#isUntouched(value, raw) ? raw : this.#encode(value, value);
    return isList(returned) ? returned.map((each) => this.#encode(each, value)) : this.#encode(returned, value);
  }

  #encode(returned: T | Uint8Array, value: T): Buffer {
    return asBuffer(isValue(returned, value) ? this.#codec.encode(returned) : returned);
  }

  /** Whether an object that was handed back is what it was: read again from its bytes it must be the same. */
  #isUntouched(value: T, raw: Buffer): boolean {
    if (typeof value !== "object" || value === null) return true;
    const again = this.#begin().decode(raw);
    return again.kind !== "frame" || isDeepStrictEqual(again.value, value);
  }

  #begin(): Codec<T> {
    const { codec } = this.#settings;
    return codec.begin?.(this.#session) ?? codec;
  }

  #limited(size: number): number {
    const { maxBytes } = this.#settings;
    if (size > maxBytes) throw this.#fault(`more than ${maxBytes} bytes`, true);
    return size;
  }

  #fault(reason: string, tooLarge: boolean): GatewayError {
    const code: ErrorCode = tooLarge ? "RC_FRAME_TOO_LARGE" : "RC_FRAME";
    const ofPeer: ErrorCode = tooLarge ? "RC_PEER_FRAME_TOO_LARGE" : "RC_PEER_FRAME";
    return new GatewayError(this.#from === "client" ? code : ofPeer, `${this.#codec.name}: ${reason}`);
  }
}

// biome-ignore lint/suspicious/noConfusingVoidType: a filter may end without return
function isNothing(returned: unknown): returned is undefined | void {
  return returned === undefined;
}

function isList<T>(returned: T | Uint8Array | readonly (T | Uint8Array)[]): returned is readonly (T | Uint8Array)[] {
  return Array.isArray(returned);
}

/** Bytes are sent as they are, unless the codec's own values are bytes. */
function isValue<T>(returned: T | Uint8Array, value: T): returned is T {
  return !(returned instanceof Uint8Array) || value instanceof Uint8Array;
}
