import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { backoffMs } from "../shared/backoff.ts";
import { patiently } from "./abort.ts";

/** Where keys were ignored and there is room again, the registry is listed so much later: a burst of changes makes one list. */
const REFILL_MS = 1_000;

/** A registry that went away is asked again so soon, and later as rarely. */
const RETRY = { minRetryMs: 250, maxRetryMs: 5_000 };

/** The two methods of a registry that following keys needs. */
export interface KeySource {
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** Changes from the moment of the call on. */
  watch(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly key: string; readonly value: string | undefined }>;
}

/** How keys of a registry are followed. */
export interface FollowedKeysOptions<Item> {
  readonly source: KeySource;
  /** What the keys begin with: `service:game:`. */
  readonly prefix: string;
  /** More keys are ignored, with one warning, until there is room for them. `what`: what they are, in words. */
  readonly max: { readonly keys: number; readonly what: string };
  /** What a key's value says; undefined: it is of no use. Asked once for each value. */
  readonly read: (key: string, value: string) => Item | undefined;
  /**
   * Called when the registry was read for the first time, and whenever something changed: with the keys of that, a burst of changes
   * together, and what they say now. Keys whose values are of no use count as gone.
   */
  readonly onChange: (changed: ReadonlyMap<string, Item | undefined>) => void;
  readonly warn: (message: string) => void;
}

interface Known<Item> {
  readonly value: string;
  readonly item: Item | undefined;
}

/** Follows the keys below one prefix of a registry. While the registry is away those known last stay. */
export class FollowedKeys<Item> {
  /** Resolves when the registry has answered for the first time, or has failed to. */
  readonly ready: Promise<void>;
  readonly #options: FollowedKeysOptions<Item>;
  readonly #stop = new AbortController();
  readonly #known = new Map<string, Known<Item>>();
  readonly #running: Promise<void>;
  #changed = new Map<string, Item | undefined>();
  #isReady: () => void = () => {};
  #failures = 0;
  /** Keys that there was no room for; a warning for each of many would be a flood. */
  #ignored = 0;
  #refilling: NodeJS.Timeout | undefined;
  #publishing: NodeJS.Immediate | undefined;

  constructor(options: FollowedKeysOptions<Item>) {
    this.#options = options;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.#running = this.#run(this.#stop.signal);
  }

  /** What is known at this moment, in no order. */
  *items(): Iterable<readonly [key: string, item: Item]> {
    for (const [key, { item }] of this.#known) if (item !== undefined) yield [key, item];
  }

  /** What a key says. */
  get(key: string): Item | undefined {
    return this.#known.get(key)?.item;
  }

  /** Keys that are known, those of no use included. */
  get size(): number {
    return this.#known.size;
  }

  /** This process has changed a key: nobody here waits for the registry to say so. */
  learn(key: string, value: string | undefined): void {
    this.#set(key, value);
    clearImmediate(this.#publishing);
    this.#publish();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#refilling);
    clearImmediate(this.#publishing);
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController(); // a watch that is not read to its end must not stay
      const abort = (): void => round.abort();
      signal.addEventListener("abort", abort, { once: true });
      try {
        await this.#follow(round.signal);
      } catch (cause) {
        if (!signal.aborted) this.#options.warn(`${this.#options.prefix}* cannot be read: ${messageOf(cause)}`);
      } finally {
        signal.removeEventListener("abort", abort);
        round.abort();
      }
      this.#isReady();
      await sleep(backoffMs(++this.#failures, RETRY), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Watches first and lists then, so that no change falls between the two. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { source, prefix } = this.#options;
    const changes = source.watch(prefix, signal);
    const listed = await patiently(source.list(prefix), { signal });
    this.#failures = 0;
    this.#fill(listed);
    this.#isReady();
    for await (const { key, value } of changes) {
      this.#set(key, value);
      this.#publishing ??= setImmediate(() => this.#publish());
    }
  }

  /** Of too many keys those that are known stay, and the first ones come: so all workers know the same. */
  #fill(listed: ReadonlyMap<string, string>): void {
    const { warn, prefix, max } = this.#options;
    for (const key of this.#known.keys()) if (!listed.has(key)) this.#set(key, undefined);
    const isTooMany = listed.size > max.keys;
    for (const key of isTooMany ? [...listed.keys()].sort() : listed.keys()) this.#set(key, listed.get(key));
    const ignored = listed.size - this.#known.size;
    if (ignored > 0 && this.#ignored === 0)
      warn(`${prefix}*: ${ignored} of ${listed.size} are ignored, more than ${max.keys} ${max.what}`);
    this.#ignored = ignored;
    clearTimeout(this.#refilling);
    this.#refilling = undefined;
    this.#publish();
  }

  /** There is room for keys that were ignored, or a key has come for which there is none. */
  #refillSoon(): void {
    const { source, prefix } = this.#options;
    const refill = async (): Promise<void> => {
      const listed = await source.list(prefix);
      if (!this.#stop.signal.aborted) this.#fill(listed);
    };
    this.#refilling ??= setTimeout(() => {
      this.#refilling = undefined;
      refill().catch(() => {}); // where the registry is away, what is known stays
    }, REFILL_MS).unref();
  }

  /** An unchanged value keeps what was read from it. */
  #set(key: string, value: string | undefined): void {
    const before = this.#known.get(key);
    if (before?.value === value) return;
    if (value === undefined) {
      this.#known.delete(key);
      if (before?.item !== undefined) this.#changed.set(key, undefined);
      if (this.#ignored > 0) this.#refillSoon();
    } else if (!before && this.#known.size >= this.#options.max.keys) {
      if (this.#ignored === 0) this.#refillSoon();
    } else {
      const item = this.#options.read(key, value);
      this.#known.set(key, { value, item });
      if (item !== undefined || before?.item !== undefined) this.#changed.set(key, item);
    }
  }

  #publish(): void {
    const changed = this.#changed;
    this.#publishing = undefined;
    this.#changed = new Map();
    this.#options.onChange(changed);
  }
}
