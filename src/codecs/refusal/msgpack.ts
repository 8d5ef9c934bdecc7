import type { Refusal } from "../../errors.ts";
import { msgpackCodec } from "../msgpack/msgpack.ts";
import { reasonOf } from "./words.ts";

const codec = msgpackCodec();

/** Refuses a client that speaks MessagePack with a map: `{ error, status, retryAfterMs?, redirect? }`. */
export function refuseMsgpack(refusal: Refusal): Uint8Array {
  const { status, retryAfterMs, redirect } = refusal;
  return codec.encode({
    error: reasonOf(refusal),
    status,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(redirect !== undefined && { redirect }),
  });
}
