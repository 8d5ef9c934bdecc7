import { randomUUID } from "node:crypto";
import { GatewayError, messageOf } from "../errors.ts";
import { jitteredMs } from "./redis/backoff.ts";
import { redisScript } from "./redis/open-redis.ts";
import type { RedisLink } from "./redis/redis-link.ts";

/** Workers that share a master id: the last digit of a worker's id. */
const WORKERS_PER_ID = 10;

/** Ten bits of a snowflake hold worker ids up to 1,023, so master ids up to 101. */
export const MAX_MASTER_ID = 101;

/** A dead master's id is another one's after so long. */
const LEASE_MS = 30_000;

/** Two renewals may be lost. */
const RENEW_MS = 10_000;

/** For us the lease is over so much earlier than for Redis: clocks run differently, and timers are late. */
const MARGIN_MS = 1_000;

/** How ids are leased. */
export interface MasterIdOptions {
  /** Called with each renewal: ids may be made until then, in milliseconds since 1970. Workers are to be told. */
  readonly onHeld?: (masterId: number, untilMs: number) => void;
  /** The ids may belong to another master from now on. */
  readonly onLost?: (error: GatewayError) => void;
  /** The ids are ours again, or others are. */
  readonly onBack?: (masterId: number) => void;
  /** Default 101. More than that needs snowflakes with more `machineBits`. */
  readonly maxMasterId?: number;
  readonly leaseMs?: number;
  readonly renewMs?: number;
}

/** Ids that no other living master has. */
export interface MasterIds {
  /** The first of them; undefined: none could be had so far, `onBack` will tell. */
  readonly masterId: number | undefined;
  readonly isHeld: boolean;
  /** Why not. */
  readonly error: GatewayError | undefined;
  /** Gives the ids back. */
  release(): Promise<void>;
}

/** Master ids that so many workers need: worker id = master id × 10 + number, and a number may have two digits. */
export function masterIdsFor(workers: number): number {
  return Math.max(1, Math.ceil(workers / WORKERS_PER_ID));
}

/**
 * Leases the lowest free master ids, `count` consecutive ones: `master:<n>` in Redis, with a token, for 30 s, renewed every
 * 10 s. Resolves when they are held, or when the first attempt has failed: then it goes on trying, each time later, at random.
 */
export async function leaseMasterIds(
  link: RedisLink,
  count: number,
  options: MasterIdOptions = {},
): Promise<MasterIds> {
  const lease = new MasterIdLease(link, count, options);
  await lease.start();
  return lease;
}

/** All of a run are free, or nothing is taken. What bears our token was taken by an attempt whose answer got lost. */
const TAKE = redisScript(`
local run = 0
for n = 0, tonumber(ARGV[4]) do
  local held = redis.call('GET', KEYS[1] .. n)
  if not held or held == ARGV[1] then run = run + 1 else run = 0 end
  if run == tonumber(ARGV[3]) then
    for m = n - run + 1, n do redis.call('SET', KEYS[1] .. m, ARGV[1], 'PX', ARGV[2]) end
    return n - run + 1
  end
end
return -1`);

/** Takes one id, or goes on holding it; also when Redis has lost it meanwhile. */
const HOLD = redisScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

const RELEASE = redisScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`);

const BASE = "master:";

class MasterIdLease implements MasterIds {
  readonly #link: RedisLink;
  readonly #count: number;
  readonly #options: MasterIdOptions;
  readonly #token = randomUUID();
  readonly #leave: () => void;
  #masterId: number | undefined;
  #error: GatewayError | undefined = new GatewayError("RC_ID_LEASE", "never leased");
  #turns = 0;
  #failures = 0;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  #isReleased = false;

  constructor(link: RedisLink, count: number, options: MasterIdOptions) {
    this.#link = link;
    this.#count = count;
    this.#options = options;
    this.#leave = link.onState((isReady) => {
      if (isReady) this.#plan(jitteredMs(1));
    });
  }

  get masterId(): number | undefined {
    return this.#masterId;
  }

  get isHeld(): boolean {
    return this.#error === undefined;
  }

  get error(): GatewayError | undefined {
    return this.#error;
  }

  start(): Promise<void> {
    this.#running ??= this.#turn().finally(() => {
      this.#running = undefined;
      const { renewMs = RENEW_MS } = this.#options;
      this.#plan(this.#failures > 0 ? jitteredMs(this.#failures) : renewMs);
    });
    return this.#running;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#leave();
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    await this.#running;
    this.#error = new GatewayError("RC_ID_LEASE", "released");
    await this.#giveBack().catch(() => {}); // the lease is over soon
  }

  #plan(delayMs: number): void {
    if (this.#isReleased) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), delayMs).unref();
  }

  async #turn(): Promise<void> {
    this.#turns++;
    const begun = performance.now();
    try {
      await this.#hold();
      this.#failures = 0;
      if (!this.#isReleased) this.#held(begun);
    } catch (cause) {
      this.#failures++;
      if (this.#error) this.#error = new GatewayError("RC_ID_LEASE", messageOf(cause), { cause });
    }
  }

  /** Keeps the ids, or takes others when these are another master's. */
  async #hold(): Promise<void> {
    if (this.#masterId !== undefined && !(await this.#holdRun(this.#masterId))) {
      this.#lose("another master has the number");
      await this.#giveBack();
      this.#masterId = undefined;
    }
    this.#masterId ??= await this.#take();
  }

  #held(begun: number): void {
    const { leaseMs = LEASE_MS, onHeld, onBack } = this.#options;
    const leftMs = begun + leaseMs - Math.min(MARGIN_MS, leaseMs / 4) - performance.now();
    clearTimeout(this.#end);
    this.#end = setTimeout(() => this.#lose("not renewed in time"), Math.max(leftMs, 0)).unref();
    const isBack = this.#error !== undefined && this.#turns > 1; // the first turn's answer is the caller's
    this.#error = undefined;
    if (this.#masterId === undefined) return;
    onHeld?.(this.#masterId, Date.now() + leftMs);
    if (isBack) onBack?.(this.#masterId);
  }

  #lose(why: string): void {
    if (this.#error) return;
    clearTimeout(this.#end);
    this.#error = new GatewayError("RC_ID_LEASE", why);
    this.#options.onLost?.(this.#error);
  }

  async #take(): Promise<number> {
    const { maxMasterId = MAX_MASTER_ID } = this.#options;
    const first = this.#link.isSharded
      ? await this.#takeOneByOne(maxMasterId)
      : Number(await this.#link.run(TAKE, [BASE], [this.#token, this.#leaseMs, this.#count, maxMasterId]));
    if (first < 0) throw new GatewayError("RC_ID_LEASE", `master ids 0 to ${maxMasterId} are taken`);
    return first;
  }

  /** In a Cluster no script reaches all keys. Each id is held by its token alone, so no two masters ever share one. */
  async #takeOneByOne(max: number): Promise<number> {
    let run = 0;
    for (let id = 0; id <= max; id++) {
      if (await this.#holdOne(id)) run++;
      else {
        await this.#releaseRun(id - run, run);
        run = 0;
      }
      if (run === this.#count) return id - run + 1;
    }
    await this.#releaseRun(max + 1 - run, run);
    return -1;
  }

  async #holdRun(first: number): Promise<boolean> {
    const held = await Promise.all(Array.from({ length: this.#count }, (_, index) => this.#holdOne(first + index)));
    return held.every(Boolean);
  }

  async #holdOne(id: number): Promise<boolean> {
    return (await this.#link.run(HOLD, [`${BASE}${id}`], [this.#token, this.#leaseMs])) === 1;
  }

  async #giveBack(): Promise<void> {
    if (this.#masterId !== undefined) await this.#releaseRun(this.#masterId, this.#count);
  }

  async #releaseRun(first: number, count: number): Promise<void> {
    const ids = Array.from({ length: count }, (_, index) => first + index);
    await Promise.all(ids.map((id) => this.#link.run(RELEASE, [`${BASE}${id}`], [this.#token])));
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? LEASE_MS;
  }
}
