import { createHash } from "node:crypto";
import { backoffMs } from "../../shared/backoff.ts";
import { changeOf, type Epochs, epochAfter, isBlind } from "./epochs.ts";
import { isRefusal, type RedisLink, redisScript } from "./redis-link.ts";
import { INTERNAL, isRegistryKey } from "./registry-key.ts";

/** A snapshot that nobody has asked for so long is taken away by Redis. */
const SNAPSHOT_TTL_MS = 3_600_000;

/** A version outlives some rounds in which nobody scans, so that a slow one does not make everybody scan. */
const VERSION_ROUNDS = 5;

/** So often is walked anew where Redis loses its data meanwhile, before the next round is left to it. */
const MOST_WALKS = 3;

/** On a way that is too narrow for a list, it keeps that from what others ask Redis for: it is tried ever more rarely. */
const RESHARE = { minRetryMs: 5_000, maxRetryMs: 60_000 };

/** The lock is over before the next round, so that each round finds a scan no older than the round is long. */
const LOCK_SHARE = 0.9;

/** Keys that are asked for their time at once: a millisecond of Redis' time. */
const BATCH = 1_000;

/** Which keys are for ever. */
const LASTING = redisScript(`
local found = {}
for at, key in ipairs(KEYS) do found[at] = redis.call('PTTL', key) end
return found`);

/** Pairs of the list that say so are for ever. */
const IS_LASTING = 1;

/** What a round has found. */
export interface Round {
  /** Changes with the contents. */
  readonly version: string;
  /** See {@link changeOf}. Undefined: that cannot be told, as Redis runs no scripts here. */
  readonly epoch: string | undefined;
  /** Undefined: the version is the one that the caller knows. */
  readonly keys: ReadonlyMap<string, string> | undefined;
  /** Those of them that have no end, as far as somebody wants to know. */
  readonly lasting: ReadonlySet<string>;
  /** It could not be shared, as where Redis takes no writes: each process walks through the keys for itself. */
  readonly isAlone: boolean;
  /** What was shared before Redis went away, and nobody has looked since: it tells nothing. */
  readonly isStale: boolean;
}

/** What somebody knows who looks again. */
export interface Seen {
  /** Undefined: not all that it stands for. */
  readonly version: string | undefined;
  readonly epoch: string | undefined;
  /** Redis was away meanwhile, and what was shared may have come from its disk. */
  readonly isBack: boolean;
}

/** What is shared. */
export interface SharedSnapshotOptions {
  readonly link: RedisLink;
  readonly epochs: Epochs;
  readonly prefix: string;
  readonly syncMs: number;
  /** Of which values is to be known whether their keys are for ever. */
  readonly mayLast: (value: string) => boolean;
}

interface Walked {
  readonly keys: ReadonlyMap<string, string>;
  readonly lasting: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * All keys below a prefix, as all gateways see them. One of them walks through the keys per round and shares what it found;
 * the others ask for its version, and only when that is new for the rest. So a round costs a gateway two small commands.
 */
export class SharedSnapshot {
  readonly #link: RedisLink;
  readonly #epochs: Epochs;
  readonly #prefix: string;
  readonly #roundMs: number;
  readonly #mayLast: (value: string) => boolean;
  /** Lists in a row that did not get through, and until when none is tried. */
  #unshared = 0;
  #resharesAt = 0;

  constructor({ link, epochs, prefix, syncMs, mayLast }: SharedSnapshotOptions) {
    this.#link = link;
    this.#epochs = epochs;
    this.#prefix = prefix;
    this.#roundMs = syncMs;
    this.#mayLast = mayLast;
  }

  /** What there is now, for who knows nothing yet. Rejects with `RC_REGISTRY`. */
  async first(): Promise<Round> {
    await this.#lock();
    return await this.#take();
  }

  /**
   * What there was when somebody looked last, at most a round ago. What a Redis has that takes no writes was shared by others, at its
   * master: it is not asked for. Rejects with `RC_REGISTRY`.
   */
  async read({ version: known, epoch, isBack }: Seen): Promise<Round> {
    const lock = await this.#lock();
    if (lock === "OK" || lock === undefined) return await this.#take();
    const version = await this.#link.send("GET", this.#key("version"));
    const isOther = typeof version === "string" && changeOf(epoch, epochIn(version)) !== "none";
    const age = isBack || isOther ? await this.#ageOf(version) : "fresh";
    if (age === "stale") return { ...roundOf(known ?? "", undefined), isStale: true };
    if (age === "unknown") return await this.#take();
    if (typeof version !== "string") return known === undefined ? await this.#take() : roundOf(known, undefined);
    if (known !== undefined && isSame(known, version)) return roundOf(seenOf(known, version), undefined);
    return snapshotIn(await this.#link.send("GET", this.#key("snapshot"))) ?? (await this.#take());
  }

  /** Which of these keys are for ever; none where that may not be asked. Rejects with `RC_REGISTRY`. */
  async lastingOf(keys: Iterable<readonly [key: string, value: string | undefined]>): Promise<ReadonlySet<string>> {
    const asked = Array.from(keys).flatMap(([key, value]) => (value !== undefined && this.#mayLast(value) ? key : []));
    if (asked.length === 0) return NONE;
    const times = await this.#times(asked).catch(undefinedIfRefused);
    return new Set(asked.filter((_, at) => times?.[at] === -1));
  }

  async #times(keys: readonly string[]): Promise<readonly unknown[]> {
    if (this.#link.isSharded) return await Promise.all(keys.map((key) => this.#link.send("PTTL", key)));
    const times: unknown[] = [];
    for (let at = 0; at < keys.length; at += BATCH) {
      const answer = await this.#link.run(LASTING, keys.slice(at, at + BATCH));
      times.push(...(Array.isArray(answer) ? answer : []));
    }
    return times;
  }

  /** `OK`: this process walks in this round. Undefined: Redis takes no writes. */
  async #lock(): Promise<unknown> {
    const lockMs = Math.ceil(this.#roundMs * LOCK_SHARE);
    return await this.#link.send("SET", this.#key("sync"), "", "NX", "PX", lockMs).catch(undefinedIfRefused);
  }

  /**
   * Walks through all keys, and shares what it has found, as far as that can be: what was read holds all the same. A walk during which
   * Redis has lost its data tells nothing of it: what is not there would be taken for deleted.
   */
  async #take(): Promise<Round> {
    for (let walks = 0; walks < MOST_WALKS; walks++) {
      const epoch = await this.#epochs.now().catch(undefinedIfRefused);
      const walked = await this.#walk();
      if (epoch === undefined || (await this.#epochs.isStill(epoch))) return await this.#found(epoch, walked);
    }
    return { ...roundOf("", undefined), isStale: true };
  }

  async #found(epoch: string | undefined, { keys, lasting }: Walked): Promise<Round> {
    const text = JSON.stringify(Array.from(keys, (pair) => (lasting.has(pair[0]) ? [...pair, IS_LASTING] : pair)));
    const version = `${epoch ?? ""}.${createHash("sha1").update(text).digest("base64url")}`;
    const isShared = epoch !== undefined && (await this.#share(version, text).catch(() => false));
    return { version, epoch, keys, lasting, isAlone: !isShared, isStale: false };
  }

  /** What was shared before Redis went away is stale; who shares or asks without seeing Redis' run cannot tell. */
  async #ageOf(version: unknown): Promise<"fresh" | "stale" | "unknown"> {
    const epoch = await this.#epochs.now().catch(undefinedIfRefused);
    if (epoch === undefined) return "fresh";
    const shared = typeof version === "string" ? epochIn(version) : undefined;
    if (shared === undefined || changeOf(shared, epoch) !== "none") return "stale";
    return isBlind(shared) || isBlind(epoch) ? "unknown" : "fresh";
  }

  async #walk(): Promise<Walked> {
    const names = (await this.#link.scan(this.#prefix)).filter(isRegistryKey).sort();
    const values = await this.#link.getMany(names);
    const keys = new Map<string, string>();
    for (const [index, name] of names.entries()) {
      const value = values[index];
      if (value !== undefined) keys.set(name, value);
    }
    return { keys, lasting: await this.lastingOf(keys) };
  }

  /** False: not now. Rejects with `RC_REGISTRY`. */
  async #share(version: string, text: string): Promise<boolean> {
    const isShared =
      (await this.#link.send("GET", this.#key("version"))) === version &&
      (await this.#link.send("PEXPIRE", this.#key("snapshot"), SNAPSHOT_TTL_MS)) === 1;
    if (!isShared && !(await this.#upload(JSON.stringify({ version, keys: text })))) return false;
    await this.#link.send("SET", this.#key("version"), version, "PX", this.#roundMs * VERSION_ROUNDS);
    return true;
  }

  async #upload(shared: string): Promise<boolean> {
    if (performance.now() < this.#resharesAt) return false;
    try {
      await this.#link.send("SET", this.#key("snapshot"), shared, "PX", SNAPSHOT_TTL_MS);
      this.#unshared = 0;
      return true;
    } catch (cause) {
      if (!isRefusal(cause)) this.#resharesAt = performance.now() + backoffMs(++this.#unshared, RESHARE);
      return false;
    }
  }

  #key(kind: string): string {
    return `${INTERNAL}${kind}:${this.#prefix}`;
  }
}

/** A Redis that takes no writes can be read all the same. */
function undefinedIfRefused(failure: unknown): undefined {
  if (!isRefusal(failure)) throw failure;
}

function roundOf(version: string, keys: Round["keys"], lasting = NONE): Round {
  return { version, epoch: epochIn(version), keys, lasting, isAlone: false, isStale: false };
}

function epochIn(version: string): string | undefined {
  return version.split(".")[0] || undefined;
}

/** The same contents; whoever shares without seeing Redis' run says nothing new. */
function isSame(known: string, version: string): boolean {
  if (known === version) return true;
  const isSameText = known.split(".")[1] === version.split(".")[1];
  return isSameText && changeOf(epochIn(known), epochIn(version)) === "none";
}

/** Of two versions of the same contents that which tells more. */
function seenOf(known: string, version: string): string {
  return epochAfter(epochIn(known), epochIn(version)) === epochIn(known) ? known : version;
}

/** What another gateway has written, or a stranger. */
function snapshotIn(shared: unknown): Round | undefined {
  try {
    const { version, keys }: { version?: unknown; keys?: unknown } = JSON.parse(String(shared));
    const pairs: unknown = JSON.parse(String(keys));
    if (typeof version !== "string" || !Array.isArray(pairs) || !pairs.every(isPair)) return undefined;
    const lasting = pairs.filter(([, , isLasting]) => isLasting === IS_LASTING).map(([key]) => key);
    return roundOf(version, new Map(pairs.map(([key, value]) => [key, value])), new Set(lasting));
  } catch {
    return undefined;
  }
}

function isPair(value: unknown): value is [key: string, value: string, isLasting?: unknown] {
  return Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "string";
}
