import { setTimeout as sleep } from "node:timers/promises";
import { GatewayError, messageOf } from "../errors.ts";
import { DEFAULT_MACHINE_BITS } from "../shared/snowflake.ts";
import { briefly } from "./goodbye.ts";
import { keepLayout } from "./ids/layout.ts";
import { Marks } from "./ids/marks.ts";
import { Numbers } from "./ids/numbers.ts";
import { jitteredMs, MAX_RETRY_MS } from "./redis/backoff.ts";
import type { RedisLink } from "./redis/redis-link.ts";

/** Workers that share a master id: the last digit of a worker's id. */
const WORKERS_PER_ID = 10;

/** A dead master's id is another one's after so long. */
const LEASE_MS = 30_000;

/** Two renewals may be lost. */
const RENEW_MS = 10_000;

/** For us the lease is over so much earlier than for Redis: clocks run differently, and timers are late. */
const MARGIN_MS = 1_000;

/** So long after Redis is back all masters are: the longest time between two attempts, and half a second for the answers. */
const SETTLE_MS = MAX_RETRY_MS + 500;

/** When a newcomer asks masters to renew, they do within this time: thousands of them not in one moment, and all before it goes on. */
const RENEW_SPREAD_MS = 500;

/** How often a newcomer looks before it counts as a failed attempt: a Redis that loses its data again and again holds up no start. */
const MAX_LOOKS = 3;

/** How ids are leased. */
export interface MasterIdOptions {
  /** Called with each renewal: ids may be made until then, in milliseconds since 1970. Workers are to be told. */
  readonly onHeld?: (masterId: number, untilMs: number) => void;
  /** The ids may belong to another master from now on. */
  readonly onLost?: (error: GatewayError) => void;
  /** The ids are ours again, or others are. */
  readonly onBack?: (masterId: number) => void;
  /** Of the snowflakes; the same at all gateways of a Redis. Default 10. */
  readonly machineBits?: number;
  /** Default: as many as `machineBits` hold. */
  readonly maxMasterId?: number;
  readonly leaseMs?: number;
  readonly renewMs?: number;
  /** How long a Redis that may have lost its data is given until all masters have renewed. Default 2,500. */
  readonly settleMs?: number;
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

/** The highest master id whose ten workers all have a number of so many bits: 101 for 10 bits. */
export function maxMasterIdOf(machineBits: number): number {
  return Math.floor(2 ** machineBits / WORKERS_PER_ID) - 1;
}

/** Master ids that so many workers need: worker id = master id × 10 + number, and a number may have two digits. */
export function masterIdsFor(workers: number): number {
  return Math.max(1, Math.ceil(workers / WORKERS_PER_ID));
}

/**
 * Leases the lowest free master ids, `count` consecutive ones: `master:<n>` in Redis, with a token, for 30 s, renewed every
 * 10 s. Resolves when they are held, or when the first attempt has failed: then it goes on trying, each time later, at random.
 * From a Redis that is new, or has lost its data, nothing is taken before those who live have had 2.5 s to say what is theirs.
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

class MasterIdLease implements MasterIds {
  readonly #link: RedisLink;
  readonly #options: MasterIdOptions;
  readonly #machineBits: number;
  readonly #leaseMs: number;
  readonly #numbers: Numbers;
  readonly #marks: Marks;
  readonly #leave: () => void;
  #masterId: number | undefined;
  #error: GatewayError | undefined = new GatewayError("RC_ID_LEASE", "never leased");
  #turns = 0;
  #failures = 0;
  /** Another turn is wanted right behind the one that runs: what it has asked may be over. */
  #isUrgent = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();

  constructor(link: RedisLink, count: number, options: MasterIdOptions) {
    const { machineBits = DEFAULT_MACHINE_BITS, leaseMs = LEASE_MS, settleMs = SETTLE_MS } = options;
    const { maxMasterId = maxMasterIdOf(machineBits) } = options;
    this.#link = link;
    this.#options = options;
    this.#machineBits = machineBits;
    this.#leaseMs = leaseMs;
    this.#numbers = new Numbers(link, { count, max: maxMasterId, leaseMs });
    this.#marks = new Marks(link, settleMs);
    this.#leave = link.onState((isReady) => {
      if (isReady) this.#renewWithin(jitteredMs(1));
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
      this.#plan(this.#failures > 0 ? jitteredMs(this.#failures) : this.#isUrgent ? 0 : renewMs);
      this.#isUrgent = false;
    });
    return this.#running;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#stop.abort();
    this.#leave();
    this.#marks.close();
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    this.#error = new GatewayError("RC_ID_LEASE", "released");
    if (this.#link.isAnswering) await briefly(this.#leaveAll());
  }

  async #leaveAll(): Promise<void> {
    await this.#running;
    await this.#giveBack();
  }

  #renewWithin(delayMs: number): void {
    if (this.#running !== undefined) this.#isUrgent = true;
    else this.#plan(delayMs);
  }

  #plan(delayMs: number): void {
    if (this.#isReleased) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), delayMs).unref();
  }

  get #isReleased(): boolean {
    return this.#stop.signal.aborted;
  }

  async #turn(): Promise<void> {
    this.#turns++;
    try {
      const begun = await this.#hold();
      this.#failures = 0;
      if (!this.#isReleased) this.#held(begun);
    } catch (cause) {
      this.#failures++;
      if (this.#error) this.#error = new GatewayError("RC_ID_LEASE", messageOf(cause), { cause });
    }
  }

  /** Keeps the ids, or takes others when these are another master's. Answers when it began to, in the time of `performance.now`. */
  async #hold(): Promise<number> {
    const begun = performance.now();
    const first = this.#masterId;
    if (first === undefined) return await this.#take();
    const held = await this.#numbers.hold(first);
    if (held === "others") return await this.#takeOthers("another master has the number");
    if (held === "lost and ours again" && (await this.#isDoubtful())) return await this.#takeOthers("");
    try {
      await keepLayout(this.#link, this.#machineBits, this.#leaseMs);
    } catch (cause) {
      if (cause instanceof GatewayError && cause.code === "RC_ID_LEASE") return await this.#takeOthers(cause.message);
      throw cause;
    }
    return begun;
  }

  /**
   * Redis has lost our number, or our time was over. Looking makes newcomers wait, and others renew. Whose time was over is a
   * newcomer itself: another master may have had the number since.
   */
  async #isDoubtful(): Promise<boolean> {
    const { doubtMs } = await this.#marks.look();
    return doubtMs > 0 && this.#error !== undefined;
  }

  async #takeOthers(why: string): Promise<number> {
    this.#lose(why);
    await this.#giveBack();
    this.#masterId = undefined;
    return await this.#take();
  }

  #held(begun: number): void {
    const { onHeld, onBack } = this.#options;
    const leftMs = begun + this.#leaseMs - Math.min(MARGIN_MS, this.#leaseMs / 4) - performance.now();
    clearTimeout(this.#end);
    this.#end = setTimeout(() => this.#lose("not renewed in time"), Math.max(leftMs, 0)).unref();
    const isBack = this.#error !== undefined && this.#turns > 1; // the first turn's answer is the caller's
    this.#error = undefined;
    if (this.#masterId === undefined) return;
    this.#marks.hear(() => this.#renewWithin(Math.random() * RENEW_SPREAD_MS));
    onHeld?.(this.#masterId, Date.now() + leftMs);
    if (isBack) onBack?.(this.#masterId);
  }

  #lose(why: string): void {
    if (this.#error) return;
    clearTimeout(this.#end);
    this.#error = new GatewayError("RC_ID_LEASE", why);
    this.#options.onLost?.(this.#error);
  }

  /** Takes ids, unless Redis has lost whose they are: before or while we looked. */
  async #take(): Promise<number> {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const { mark, doubtMs } = await this.#marks.look();
      if (doubtMs === 0) {
        await keepLayout(this.#link, this.#machineBits, this.#leaseMs);
        const begun = performance.now();
        const first = await this.#numbers.take();
        const now = await this.#marks.look();
        if (now.mark === mark && now.doubtMs === 0) {
          this.#masterId = first;
          return begun;
        }
        await this.#numbers.release(first);
      }
      await sleep(doubtMs + 2, undefined, { signal: this.#stop.signal }); // Redis rounds
    }
    throw new GatewayError("RC_ID_LEASE", "redis loses its data");
  }

  async #giveBack(): Promise<void> {
    if (this.#masterId !== undefined) await this.#numbers.release(this.#masterId);
  }
}
