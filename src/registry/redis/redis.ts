import { join } from "node:path";
import { type Change, type ChangeOptions, mustFit, type PutOptions, type Registry, ttlOf } from "../registry.ts";
import { Table } from "../table.ts";
import { DiskSnapshot, type Known, type Saved } from "./disk-snapshot.ts";
import { Epochs } from "./epochs.ts";
import { Follow } from "./follow.ts";
import type { Loss, TakenOut } from "./loss.ts";
import type { RedisLog } from "./open-redis.ts";
import { OWNERLESS } from "./ownerless.ts";
import { Listeners, type RedisLink } from "./redis-link.ts";
import { INTERNAL, isRegistryKey } from "./registry-key.ts";
import { type Swap, TimelyWrites } from "./timely-writes.ts";

/** Where changes are told: the message is the key. */
const CHANGES = "changes";

/** A message that begins so names no key: it tells what was taken out of one, as JSON. */
const OUT = `${INTERNAL}out `;

/** A change that nobody told is seen within two rounds, 2 s: the scan's and our own. */
const SYNC_MS = 900;

/** Prefixes that somebody has followed and nobody follows now. Of more, as of those that belong to a session each, the last are kept. */
const MAX_SAVED = 64;

/** How a registry in Redis is kept. */
export interface RedisRegistryOptions {
  readonly log: RedisLog;
  /** Folder for the snapshot that a start without Redis reads, `registry.json`. Default: none is kept. */
  readonly stateDir?: string | undefined;
  /** Told that Redis has lost what was below a prefix that somebody watches, or some of it. It stays known here for 15 s, and until it is put back. */
  readonly onLost?: ((prefix: string, loss: Loss) => void) | undefined;
  /** Time between two full syncs. Default 900. */
  readonly syncMs?: number;
}

/**
 * A registry that many gateways and game servers share. What somebody watches is kept here in full and answered from here,
 * also while Redis is away; everything else is asked for. Closing it leaves the connection open.
 */
export async function redisRegistry(link: RedisLink, options: RedisRegistryOptions): Promise<Registry> {
  const registry = new RedisRegistry(link, options);
  await registry.open();
  return registry;
}

interface Followed {
  readonly follow: Follow;
  watches: number;
}

class RedisRegistry implements Registry {
  readonly #link: RedisLink;
  readonly #options: RedisRegistryOptions;
  readonly #writes: TimelyWrites;
  readonly #epochs: Epochs;
  readonly #outs = new Listeners<TakenOut>();
  readonly #follows = new Map<string, Followed>();
  readonly #disk: DiskSnapshot | undefined;
  readonly #leave: () => void;
  /** What was known of prefixes that nobody follows now, or whose keys Redis has not told yet. */
  #saved = new Map<string, Saved>();
  #isClosed = false;

  constructor(link: RedisLink, options: RedisRegistryOptions) {
    this.#link = link;
    this.#options = options;
    this.#writes = new TimelyWrites(link);
    this.#epochs = new Epochs(link, options.log);
    const { stateDir, log } = options;
    if (stateDir !== undefined)
      this.#disk = new DiskSnapshot({
        path: join(stateDir, "registry.json"),
        prefix: link.prefix,
        known: () => this.#known(),
        warn: (text) => log.warn(text),
      });
    this.#leave = link.subscribe(CHANGES, (key) => this.#notice(key));
  }

  async open(): Promise<void> {
    this.#saved = new Map(await this.#disk?.read());
  }

  async get(key: string): Promise<string | undefined> {
    this.#mustBeOpen();
    const follow = await this.#followOf(key);
    const value = follow ? follow.table.get(key) : await this.#ask(key);
    for (const { follow } of this.#follows.values()) follow.table.showed(key);
    return value;
  }

  async #ask(key: string): Promise<string | undefined> {
    return isRegistryKey(key) ? (await this.#link.getMany([key]))[0] : undefined;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    this.#mustBeOpen();
    const follow = await this.#followOf(prefix);
    const found = follow ? follow.table.list(prefix) : await this.#askAll(prefix);
    for (const { follow } of this.#follows.values()) follow.table.showedAll(found);
    return found;
  }

  async #askAll(prefix: string): Promise<ReadonlyMap<string, string>> {
    const keys = (await this.#link.scan(prefix)).filter(isRegistryKey);
    const values = await this.#link.getMany(keys);
    const found = new Map<string, string>();
    for (const [index, key] of keys.entries()) {
      const value = values[index];
      if (value !== undefined) found.set(key, value);
    }
    return found;
  }

  async put(key: string, value: string, options: PutOptions = {}): Promise<void> {
    this.#mustBeOpen();
    if (!isRegistryKey(key)) throw new TypeError(`key: expected text that does not begin with ~, not "${key}"`);
    const ttlMs = ttlOf(options);
    mustFit(value);
    const { announce = true } = options;
    const isNew = await this.#writes.put(key, value, { ttlMs, wantsNews: announce });
    this.#wrote(key, value, ttlMs === undefined);
    if (announce && isNew) this.#tell(key);
  }

  async delete(key: string, { announce = true }: ChangeOptions = {}): Promise<boolean> {
    this.#mustBeOpen();
    if (!isRegistryKey(key)) return false;
    const isKept = [...this.#follows.values()].some(({ follow }) => follow.keeps(key));
    const wasThere = (await this.#writes.delete(key)) || isKept; // what Redis has lost is known to others, too
    this.#wrote(key, undefined);
    if (wasThere && announce) this.#tell(key);
    return wasThere;
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change> {
    this.#mustBeOpen();
    if (signal.aborted) return new Table().watch(prefix, signal);
    const followed = this.#follows.get(prefix) ?? { follow: this.#followPrefix(prefix), watches: 0 };
    this.#follows.set(prefix, followed);
    followed.watches++;
    return followed.follow.table.watch(prefix, signal, () => {
      if (--followed.watches === 0) this.#unfollow(prefix, followed.follow);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leave();
    await this.#disk?.close();
    for (const { follow } of [...this.#follows.values()]) follow.close();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error("registry is closed");
  }

  #followPrefix(prefix: string): Follow {
    const { log, syncMs = SYNC_MS } = this.#options;
    const saved = (): Saved | undefined => this.#saved.get(prefix);
    const onHeard = (): void => void this.#saved.delete(prefix);
    const onChange = (): void => this.#disk?.touch();
    const onLost = (loss: Loss): void => this.#options.onLost?.(prefix, loss);
    const mayLast = OWNERLESS[prefix] ?? (() => false);
    const doubted: Pick<Loss, "swap" | "tellOut" | "onOut"> = {
      swap: (key, swap) => this.#swap(key, swap),
      tellOut: ({ key, text }) => this.#tell(`${OUT}${JSON.stringify([key, text])}`),
      onOut: (listener) => this.#outs.add(listener),
    };
    const shared = { link: this.#link, epochs: this.#epochs, syncMs };
    return new Follow({ ...shared, prefix, mayLast, doubted, saved, onHeard, log, onChange, onLost });
  }

  /** What came from Redis last is what is known without it, also for who follows the same later. */
  #unfollow(prefix: string, follow: Follow): void {
    this.#follows.delete(prefix);
    if (follow.saved) this.#save(prefix, follow.saved);
    follow.close();
  }

  #save(prefix: string, saved: Saved): void {
    this.#saved.delete(prefix);
    this.#saved.set(prefix, saved);
    if (this.#saved.size > MAX_SAVED) this.#saved.delete(this.#saved.keys().next().value ?? "");
  }

  /**
   * Who keeps a copy of all keys that begin so; undefined: nobody. What somebody watches is answered from the copy or not at all: changes
   * are told from what that had first, so what else Redis has said before would never be put right. Rejects with `RC_REGISTRY`.
   */
  async #followOf(prefix: string): Promise<Follow | undefined> {
    for (let follow = this.#nearest(prefix); follow; follow = this.#nearest(prefix)) {
      await follow.known();
      this.#mustBeOpen();
      if (!follow.isClosed) return follow;
    }
    return undefined;
  }

  /** Of several copies that which those read who watch just this. */
  #nearest(prefix: string): Follow | undefined {
    const all = [...this.#follows].filter(([followed]) => prefix.startsWith(followed));
    return all.sort(([one], [other]) => other.length - one.length)[0]?.[1].follow;
  }

  async #swap(key: string, swap: Swap): Promise<boolean> {
    const ttlMs = swap.ttlMs === undefined ? undefined : Math.ceil(swap.ttlMs);
    const isDone = await this.#writes.swap(key, { ...swap, ttlMs });
    if (isDone) this.#wrote(key, swap.value, ttlMs === undefined);
    return isDone;
  }

  #wrote(key: string, value: string | undefined, isLasting = false): void {
    for (const [prefix, { follow }] of this.#follows) if (key.startsWith(prefix)) follow.wrote(key, value, isLasting);
  }

  #notice(key: string): void {
    if (key.startsWith(OUT)) this.#noticeOut(key.slice(OUT.length));
    if (!isRegistryKey(key)) return;
    for (const [prefix, { follow }] of this.#follows) if (key.startsWith(prefix)) follow.notice(key);
  }

  #noticeOut(text: string): void {
    const out = outIn(text);
    if (out) this.#outs.tell(out);
  }

  /** What is not told is found by the next full sync. */
  #tell(key: string): void {
    this.#link.publish(CHANGES, key).catch(() => {});
  }

  #known(): Known {
    const known = new Map(this.#saved);
    for (const [prefix, { follow }] of this.#follows) {
      const { saved } = follow;
      if (saved) known.set(prefix, saved);
    }
    return known;
  }
}

/** Out of a message that anybody may have sent. */
function outIn(text: string): TakenOut | undefined {
  try {
    const [key, said]: unknown[] = JSON.parse(text);
    return typeof key === "string" && typeof said === "string" ? { key, text: said } : undefined;
  } catch {
    return undefined;
  }
}
