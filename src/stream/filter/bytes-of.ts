import { asBuffer } from "../../codecs/as-buffer.ts";
import type { Pieces } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];

/** Text (as UTF-8) or bytes of a user as the engine handles them. @throws TypeError for anything else */
export function bytesOf(value: unknown): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return asBuffer(value);
  throw new TypeError(`expected text or a Uint8Array, got ${nameOf(value)}`);
}

/** What a filter of raw bytes returned. `original`: what undefined stands for. @throws TypeError for what is no bytes */
export function piecesOf(returned: unknown, original: Pieces): Pieces {
  if (returned === undefined) return original;
  if (returned === null) return NOTHING;
  return Array.isArray(returned) ? returned.map(bytesOf) : bytesOf(returned);
}

function nameOf(value: unknown): string {
  return typeof value === "object" ? (value?.constructor.name ?? "null") : typeof value;
}
