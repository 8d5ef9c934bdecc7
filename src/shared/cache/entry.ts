import { deserialize, serialize } from "node:v8";
import { messageOf } from "../../errors.ts";
import { machineClock } from "../dict/clock.ts";

/** What a cache knows of a key: that there is a value, or that there is none. */
export interface Entry {
  /** Milliseconds of the machine's clock; infinity: it never is too old. */
  readonly expiresAt: number;
  /** From then on it is not even good enough while a new one is fetched. */
  readonly staleUntil: number;
  /** The value in V8's format; undefined: it is known that there is none. */
  readonly payload: Uint8Array | undefined;
}

/** How long something is good. 0 is for ever. */
export interface Lifetime {
  readonly ttlMs: number;
  readonly staleTtlMs: number;
}

/** Two doubles: `expiresAt` and `staleUntil`. */
const HEAD_BYTES = 16;

/** Makes an entry whose time begins now. */
export function entryOf(payload: Uint8Array | undefined, { ttlMs, staleTtlMs }: Lifetime): Entry {
  const expiresAt = ttlMs === 0 ? Number.POSITIVE_INFINITY : machineClock() + ttlMs;
  return { expiresAt, staleUntil: expiresAt + staleTtlMs, payload };
}

/** An entry as a dictionary keeps it. */
export function encodeEntry({ expiresAt, staleUntil, payload }: Entry): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + (payload?.length ?? 0));
  bytes.writeDoubleLE(expiresAt, 0);
  bytes.writeDoubleLE(staleUntil, 8);
  if (payload) bytes.set(payload, HEAD_BYTES);
  return bytes;
}

/** Undefined: what stands there is no entry. */
export function decodeEntry(bytes: unknown): Entry | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length < HEAD_BYTES) return undefined;
  const head = new DataView(bytes.buffer, bytes.byteOffset);
  const payload = bytes.length > HEAD_BYTES ? bytes.subarray(HEAD_BYTES) : undefined;
  return { expiresAt: head.getFloat64(0, true), staleUntil: head.getFloat64(8, true), payload };
}

/** Nothing is a value, too: that there is none. @throws TypeError `cannot cache value of type function` */
export function payloadOf(value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`cannot cache value of type ${typeof value}`);
  }
  try {
    return serialize(value);
  } catch (cause) {
    throw new TypeError(`cannot cache value: ${messageOf(cause)}`, { cause });
  }
}

/** The value of a payload: a new one with each call. Its type is what the cache's user says that it is. */
export function readPayload<Value>(payload: Uint8Array): Value {
  return deserialize(payload);
}
