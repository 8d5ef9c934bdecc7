import { messageOf } from "../../errors.ts";
import { RedisClock } from "./redis-clock.ts";
import { isRefusal, type RedisLink, redisScript } from "./redis-link.ts";

// A command that nobody waits for any more lies in a paused Redis' buffers, and is done when that goes on. So what is
// written says until when it may be.

const NOW = "local time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\n";
const LATE = "LATE";
const IN_TIME = `${NOW}if now > tonumber(ARGV[1]) then return redis.error_reply('${LATE} nobody waits for this any more') end\n`;

/** Of the node that has the key: in a Cluster each has a clock. Where they do not agree it is asked again. */
const SHOW = redisScript(`${NOW}return now`);

/** Answers what was there before, where the caller wants to know. */
const PUT = redisScript(`${IN_TIME}
local before = ARGV[4] == '1' and redis.pcall('GET', KEYS[1])
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return type(before) == 'string' and before`);

const DELETE = redisScript(`${IN_TIME}return redis.call('DEL', KEYS[1])`);

/** Writes or deletes where nobody else has written meanwhile. */
const SWAP = redisScript(`${IN_TIME}
local before = redis.pcall('GET', KEYS[1])
if ARGV[2] == '' then if before then return 0 end elseif before ~= ARGV[3] then return 0 end
if ARGV[4] == '' then return redis.call('DEL', KEYS[1]) end
if ARGV[6] == '' then redis.call('SET', KEYS[1], ARGV[5]) else redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[6]) end
return 1`);

/** What a key had, and what it is to have; undefined: nothing. */
export interface Swap {
  readonly before: string | undefined;
  readonly value: string | undefined;
  /** For ever, if it has none. */
  readonly ttlMs?: number | undefined;
}

/** Writes keys now or never: not after their writer has been told that it failed. */
export class TimelyWrites {
  readonly #link: RedisLink;
  #clock: RedisClock | undefined;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  /** Answers whether the value is another one than before; true also where nobody wants to know. Rejects with `RC_REGISTRY`. */
  async put(key: string, value: string, { ttlMs, wantsNews }: { ttlMs: number | undefined; wantsNews: boolean }) {
    const before = await this.#inTime(key, (untilMs) =>
      this.#link.run(PUT, [key], [untilMs, value, ttlMs ?? "", wantsNews ? 1 : 0]),
    );
    return before !== value;
  }

  /** Answers whether there was something. Rejects with `RC_REGISTRY`. */
  async delete(key: string): Promise<boolean> {
    return (await this.#inTime(key, (untilMs) => this.#link.run(DELETE, [key], [untilMs]))) === 1;
  }

  /** False: the key has another value, which stays. Rejects with `RC_REGISTRY`. */
  async swap(key: string, { before, value, ttlMs }: Swap): Promise<boolean> {
    const told = (one: string | undefined): readonly (string | number)[] => (one === undefined ? ["", ""] : [1, one]);
    const values = [...told(before), ...told(value), ttlMs ?? ""];
    return (await this.#inTime(key, (untilMs) => this.#link.run(SWAP, [key], [untilMs, ...values]))) === 1;
  }

  async #inTime(key: string, write: (untilMs: number) => Promise<unknown>): Promise<unknown> {
    const endsMs = performance.now() + this.#link.commandTimeoutMs;
    this.#clock ??= new RedisClock(async () => Number(await this.#link.run(SHOW, [key])));
    try {
      return await write(await this.#clock.at(endsMs));
    } catch (cause) {
      if (!isRefusal(cause) || !messageOf(cause).includes(LATE)) throw cause;
      this.#clock.forget(); // its clock was set: we are not late
      return await write(await this.#clock.at(endsMs));
    }
  }
}
