import type { Refusal } from "../../errors.ts";
import { sentenceOf } from "./words.ts";

/** Refuses a Redis client with an error reply, which RESP2, RESP3 and inline commands have in common; its first word is Redis' general one. */
export function refuseRedis(refusal: Refusal): Uint8Array {
  return Buffer.from(`-ERR ${sentenceOf(refusal)}\r\n`);
}
