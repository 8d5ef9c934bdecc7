import { createHash } from "node:crypto";
import { GatewayError } from "../../errors.ts";

/** A program of Redis, known by its text. */
export interface RedisScript {
  readonly lua: string;
  readonly sha1: string;
}

/** Makes a script out of its text. */
export function redisScript(lua: string): RedisScript {
  return { lua, sha1: createHash("sha1").update(lua).digest("hex") };
}

/**
 * A connection to Redis, as narrow as what shares Redis needs: registry, ids, limits, events. Keys and channels are given
 * without the prefix. Everything rejects with `RC_REGISTRY` when Redis is away or does not answer in time; nothing is queued
 * or sent twice. What was sent may be done all the same, also later: see {@link TimelyWrites}.
 */
export interface RedisLink extends AsyncDisposable {
  /** In front of every key and channel. */
  readonly prefix: string;
  /** True in a Cluster: a command or script may use one key only, unless its keys share a `{tag}`. */
  readonly isSharded: boolean;
  /** How long an answer may take. */
  readonly commandTimeoutMs: number;
  /** False: Redis is away, and commands fail at once. */
  readonly isReady: boolean;
  /** False: away, or some command has been waiting for its answer for 0.8 s. No time for what can be left out. */
  readonly isAnswering: boolean;
  /** One command on one key: `send("SET", "worker:1", "{}", "PX", 10_000)`. */
  send(command: string, key: string, ...rest: readonly (string | number)[]): Promise<unknown>;
  /** Runs a script, which is sent whole only where Redis does not know it. */
  run(script: RedisScript, keys: readonly string[], values?: readonly (string | number)[]): Promise<unknown>;
  /**
   * The values of keys, in their order; undefined: there is none, or one of another type. One of more than 64 KiB is none
   * either, with a warning, and so is what comes behind 32 MiB.
   */
  getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** All keys that begin with the prefix. Walks through all keys of the database, a thousand at a time. */
  scan(prefix: string): Promise<readonly string[]>;
  publish(channel: string, message: string): Promise<void>;
  /** Messages from now on, while Redis is there, until what is returned is called. */
  subscribe(channel: string, onMessage: (message: string) => void): () => void;
  /** Tells when Redis comes back or goes away, until what is returned is called. */
  onState(listener: (isReady: boolean) => void): () => void;
}

/** True for a failure by which Redis is there and does not do what was asked, as a replica does not write. */
export function isRefusal(failure: unknown): boolean {
  return failure instanceof GatewayError && failure.cause instanceof Error && failure.cause.name === "ReplyError";
}

/** Who wants to be told of something. */
export class Listeners<Told> {
  readonly #listeners = new Set<(told: Told) => void>();

  add(listener: (told: Told) => void): () => void {
    const own = (told: Told): void => listener(told); // the same function may listen twice
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  tell(told: Told): void {
    for (const listener of this.#listeners) listener(told);
  }
}
