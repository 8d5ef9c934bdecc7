import { messageOf } from "../errors.ts";
import { briefly } from "./goodbye.ts";
import { jitteredMs } from "./redis/backoff.ts";
import type { Registry } from "./registry.ts";

/** The protocol's recommendation: who is silent for so long is gone. */
const TTL_MS = 10_000;

/** Two beats may be lost. */
const BEAT_MS = 3_000;

/** How a key is kept. */
export interface HeartbeatOptions {
  readonly ttlMs?: number;
  /** Time between two beats; less than a third of the time to live. */
  readonly beatMs?: number;
  /** False: nobody is told, not even of the first beat and of the end; see {@link PutOptions}. Default true. */
  readonly announce?: boolean;
  /** Gets a sentence when the registry does not take the key, once per outage. */
  readonly warn: (message: string) => void;
}

interface Pair {
  readonly key: string;
  readonly value: string;
}

/**
 * What is kept: a key and its value, asked for each beat. A key that has become another one is taken away. Undefined: nothing
 * at this moment, and what was put last may be somebody else's now.
 */
export type Kept = () => Pair | undefined;

/** A key that is kept until it is disposed; then it is taken away. */
export interface Heartbeat extends AsyncDisposable {
  /** Puts the value now, and tells others: it has changed in a way that they should know of. */
  beat(): void;
}

/**
 * Keeps a key in the registry while this process lives, by putting it again and again. When the registry cannot be reached it
 * goes on trying, each time later, at random.
 */
export function heartbeat(registry: Registry, kept: Kept, options: HeartbeatOptions): Heartbeat {
  return new RegistryHeartbeat(registry, kept, options);
}

class RegistryHeartbeat implements Heartbeat {
  readonly #registry: Registry;
  readonly #kept: Kept;
  readonly #options: HeartbeatOptions;
  /** What was put last. */
  #last: Pair | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isNews = true;
  #failures = 0;
  #isOver = false;

  constructor(registry: Registry, kept: Kept, options: HeartbeatOptions) {
    this.#registry = registry;
    this.#kept = kept;
    this.#options = options;
    this.#start();
  }

  beat(): void {
    this.#isNews = true;
    this.#start();
  }

  get #isTold(): boolean {
    return this.#options.announce ?? true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    await briefly(this.#leave());
  }

  async #leave(): Promise<void> {
    await this.#running;
    await this.#remove();
  }

  /** Takes away what was put last, unless somebody else has put the key since. Where that fails, its time to live is over soon. */
  async #remove(): Promise<void> {
    const last = this.#last;
    this.#last = undefined;
    if (!last) return;
    try {
      if ((await this.#registry.get(last.key)) === last.value)
        await this.#registry.delete(last.key, { announce: this.#isTold });
    } catch {}
  }

  #start(): void {
    if (this.#isOver || this.#running !== undefined) return;
    this.#running = this.#put().finally(() => {
      this.#running = undefined;
      if (!this.#isOver) this.#plan();
    });
  }

  #plan(): void {
    const { beatMs = BEAT_MS } = this.#options;
    const waitMs = this.#failures > 0 ? jitteredMs(this.#failures) : this.#isNews ? 0 : beatMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), waitMs).unref();
  }

  async #put(): Promise<void> {
    const kept = this.#kept();
    const isNew = kept?.key !== this.#last?.key;
    if (isNew) await this.#remove();
    if (!kept) return;
    const { key, value } = kept;
    const announce = this.#isTold && (this.#isNews || isNew);
    this.#isNews = false;
    this.#last = kept;
    try {
      await this.#registry.put(key, value, { ttlMs: this.#options.ttlMs ?? TTL_MS, announce });
      this.#failures = 0;
    } catch (cause) {
      this.#isNews = true; // it may have lapsed meanwhile
      if (this.#failures++ === 0) this.#options.warn(`${key} cannot be put: ${messageOf(cause)}`);
    }
  }
}
