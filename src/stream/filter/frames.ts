import type { Codec } from "../../codecs/codec.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import type { Filtered, StageFilter } from "./body-filter.ts";
import { FrameStage } from "./frame-stage.ts";

/**
 * What becomes of a frame. `undefined`: it is passed on, byte for byte; so is the frame itself as long as nothing in it was
 * changed. Another value is encoded, and so is each of a list, in order (for one value that is a list: `[list]`). Bytes are sent
 * as they are, where the codec's own values are not bytes. `null` drops it.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a filter may end without return
export type FrameResult<T> = T | Uint8Array | readonly (T | Uint8Array)[] | null | undefined | void;

/** Called with each frame, one after the other: the next one only when this has decided. */
export type FrameFilter<T> = (frame: T, session: FilterSession) => Awaitable<FrameResult<T>>;

export interface FrameOptions {
  /** Most bytes of a frame, for codecs that take larger ones or know no limit. Default 1,048,576. */
  readonly maxBytes?: number;
  /**
   * Called when the direction has ended, with the bytes of an unfinished frame, empty mostly. What it returns goes out before
   * the end; `undefined`: the bytes as they are.
   */
  readonly end?: (rest: Buffer, session: FilterSession) => Awaitable<Filtered>;
}

/** As long as a frame that `receiveFrame` takes: each direction of each session may hold that much. */
const MAX_FRAME_BYTES = 1_048_576;

/**
 * A filter of whole frames for `phases.bodyFilter`: `frames(mqtt(), (packet) => …)`. Untouched frames are never encoded again.
 * The session ends with RC_FRAME (RC_PEER_FRAME) at bytes that are no frame, and RC_FRAME_TOO_LARGE (RC_PEER_FRAME_TOO_LARGE) at a
 * frame above the codec's limit or `maxBytes`.
 * @throws TypeError on arguments that are none
 */
export function frames<T>(codec: Codec<T>, onFrame: FrameFilter<T>, options: FrameOptions = {}): StageFilter {
  const { maxBytes = MAX_FRAME_BYTES, end } = options;
  if (typeof codec?.decode !== "function" || typeof codec.encode !== "function")
    throw new TypeError("frames: expected a codec");
  if (typeof onFrame !== "function") throw new TypeError("frames: expected a function");
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError(`frames: maxBytes is ${maxBytes}`);
  const settings = { codec, onFrame, maxBytes, end };
  return { kind: "stage", stage: (session, from) => new FrameStage(settings, session, from) };
}
