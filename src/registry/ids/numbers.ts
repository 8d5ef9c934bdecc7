import { randomUUID } from "node:crypto";
import { GatewayError } from "../../errors.ts";
import { type RedisLink, redisScript } from "../redis/redis-link.ts";
import { INTERNAL } from "../redis/registry-key.ts";

/** The key of a number, and its holder's token is the value. */
const BASE = "master:";

/** Numbers that are looked at in one step, where the first ones are taken: some hundred microseconds of Redis' time. */
const WINDOW = 1_000;

/** What became of a number that was to be held. */
const OTHERS = 0;
const ANEW = 2;

/** Takes a number, or goes on holding it, also when Redis has lost it. What is no text is not ours. */
const HOLD = redisScript(`
local held = redis.pcall('GET', KEYS[1])
if held and held ~= ARGV[1] then return ${OTHERS} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return held and 1 or ${ANEW}`);

const RELEASE = redisScript(`
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`);

/**
 * Where to begin to look, and the next one begins behind it: so those that come in one moment do not all look at the same number.
 * The hint is forgotten now and then, and with it what has become free meanwhile is found.
 */
const RESERVE = redisScript(`
local hint = redis.pcall('GET', KEYS[1])
local from = type(hint) == 'string' and tonumber(hint)
if from then redis.call('SET', KEYS[1], from + ARGV[1], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return from or 0`);

/** Moves the hint on to where there may be a free number (`up`), or back to one that has become free (`down`). */
const MOVE = redisScript(`
local hint = redis.pcall('GET', KEYS[1])
local at, to = type(hint) == 'string' and tonumber(hint), tonumber(ARGV[1])
if at and ((ARGV[2] == 'up' and to > at) or (ARGV[2] == 'down' and to < at)) then
  redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
end
return 0`);

/** How many numbers are wanted, and for how long. */
export interface NumbersOptions {
  /** In a row. */
  readonly count: number;
  /** The highest number there is. */
  readonly max: number;
  readonly leaseMs: number;
}

/** Held: by whom a run of numbers is. */
export type Holding = "ours" | "lost and ours again" | "others";

/**
 * Takes and holds numbers in Redis, each by a key of its own with a token as value. No script needs more than one key, so that
 * it works in a Cluster; what holds a number is its token alone, so that no two ever share one.
 */
export class Numbers {
  readonly #link: RedisLink;
  readonly #options: NumbersOptions;
  readonly #token = randomUUID();
  /** The first of those that may be ours, also where an answer got lost: who takes again begins there. */
  #mine: number | undefined;

  constructor(link: RedisLink, options: NumbersOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** Takes the lowest free run, about, and answers its first number. Rejects with `RC_ID_LEASE` when all are taken, and with `RC_REGISTRY`. */
  async take(): Promise<number> {
    const { count, max } = this.#options;
    const reserved = this.#mine ?? (await this.#reserve());
    for (let from = reserved; ; ) {
      const first = await this.#free(from);
      if (first === undefined) throw new GatewayError("RC_ID_LEASE", `master ids 0 to ${max} are taken`);
      this.#mine = first;
      const held = await this.#holdEach(first);
      const lost = held.lastIndexOf(OTHERS);
      if (lost === -1) {
        if (first !== reserved) await this.#moveHint(count, first + count, "up");
        return first;
      }
      this.#mine = undefined;
      await this.#releaseEach(first);
      from = first + lost + 1;
    }
  }

  /** Goes on holding them. Rejects with `RC_REGISTRY`. */
  async hold(first: number): Promise<Holding> {
    const held = await this.#holdEach(first);
    if (held.includes(OTHERS)) return "others";
    return held.includes(ANEW) ? "lost and ours again" : "ours";
  }

  /** Gives back those that are ours. Rejects with `RC_REGISTRY`. */
  async release(first: number): Promise<void> {
    this.#mine = undefined;
    await this.#releaseEach(first);
    for (const count of new Set([1, this.#options.count])) await this.#moveHint(count, first, "down");
  }

  /** The first of a run that looks free. */
  async #free(from: number): Promise<number | undefined> {
    const { count, max } = this.#options;
    let run = 0;
    for (let at = from, size = count; at <= max; size = WINDOW) {
      const numbers = Array.from({ length: Math.min(size, max - at + 1) }, (_, index) => at + index);
      const tokens = await this.#link.getMany(numbers.map((number) => `${BASE}${number}`));
      for (const token of tokens) {
        run = token === undefined || token === this.#token ? run + 1 : 0;
        at++;
        if (run === count) return at - count;
      }
    }
    return undefined;
  }

  async #reserve(): Promise<number> {
    const { count, leaseMs } = this.#options;
    const from = Number(await this.#link.run(RESERVE, [hintOf(count)], [count, leaseMs]));
    return Number.isSafeInteger(from) && from >= 0 ? from : 0;
  }

  async #moveHint(count: number, to: number, way: "up" | "down"): Promise<void> {
    await this.#link.run(MOVE, [hintOf(count)], [to, way]);
  }

  #holdEach(first: number): Promise<readonly unknown[]> {
    const { leaseMs } = this.#options;
    return Promise.all(this.#keys(first).map((key) => this.#link.run(HOLD, [key], [this.#token, leaseMs])));
  }

  async #releaseEach(first: number): Promise<void> {
    await Promise.all(this.#keys(first).map((key) => this.#link.run(RELEASE, [key], [this.#token])));
  }

  #keys(first: number): readonly string[] {
    return Array.from({ length: this.#options.count }, (_, index) => `${BASE}${first + index}`);
  }
}

/** Those who want more numbers in a row find them elsewhere. */
function hintOf(count: number): string {
  return `${INTERNAL}ids:next:${count}`;
}
