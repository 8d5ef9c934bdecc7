import { createHash, randomUUID } from "node:crypto";
import { isRefusal, type RedisLink } from "./redis-link.ts";

/** Keys of the driver itself begin so, and are no keys of the registry. */
export const INTERNAL = "~";

/** A snapshot that nobody has asked for so long is taken away by Redis. */
const SNAPSHOT_TTL_MS = 3_600_000;

/** A version outlives some rounds in which nobody scans, so that a slow one does not make everybody scan. */
const VERSION_ROUNDS = 5;

/** The lock is over before the next round, so that each round finds a scan no older than the round is long. */
const LOCK_SHARE = 0.9;

/** Nodes of a Cluster lose their data one by one; among so many marks each of a few nodes has some. */
const CLUSTER_MARKS = 16;

/** What a round has found. */
export interface Round {
  /** Changes with the contents. */
  readonly version: string;
  /** Changes when Redis has lost its data. Undefined: that cannot be told, as Redis takes no writes. */
  readonly epoch: string | undefined;
  /** Undefined: the version is the one that the caller knows. */
  readonly keys: ReadonlyMap<string, string> | undefined;
  /** Redis takes no writes, so that each process walks through the keys for itself. */
  readonly isAlone: boolean;
}

/**
 * All keys below a prefix, as all gateways see them. One of them walks through the keys per round and shares what it found;
 * the others ask for its version, and only when that is new for the rest. So a round costs a gateway two small commands.
 */
export class SharedSnapshot {
  readonly #link: RedisLink;
  readonly #prefix: string;
  readonly #roundMs: number;

  constructor(link: RedisLink, prefix: string, roundMs: number) {
    this.#link = link;
    this.#prefix = prefix;
    this.#roundMs = roundMs;
  }

  /**
   * What there is now: walks through all keys, and shares what it has found, unless Redis takes no writes. Rejects with
   * `RC_REGISTRY`.
   */
  async take(): Promise<Round> {
    const epoch = await this.#epoch().catch(undefinedIfRefused);
    const keys = await this.#walk();
    const text = JSON.stringify([...keys]);
    const version = `${epoch ?? ""}.${createHash("sha1").update(text).digest("base64url")}`;
    const isShared = epoch !== undefined && (await this.#share(version, text).catch(undefinedIfRefused));
    return { version, epoch, keys, isAlone: isShared !== true };
  }

  /** What there was when somebody looked last, at most a round ago. Rejects with `RC_REGISTRY`. */
  async read(known: string | undefined): Promise<Round> {
    const lockMs = Math.ceil(this.#roundMs * LOCK_SHARE);
    const lock = await this.#link.send("SET", this.#key("sync"), "", "NX", "PX", lockMs).catch(undefinedIfRefused);
    if (lock === "OK") return await this.take();
    const version = await this.#link.send("GET", this.#key("version"));
    if (typeof version !== "string")
      return known === undefined || lock === undefined ? await this.take() : roundOf(known, undefined);
    if (version === known) return roundOf(known, undefined);
    return snapshotIn(await this.#link.send("GET", this.#key("snapshot"))) ?? (await this.take());
  }

  async #walk(): Promise<ReadonlyMap<string, string>> {
    const names = (await this.#link.scan(this.#prefix)).filter((key) => !key.startsWith(INTERNAL)).sort();
    const values = await this.#link.getMany(names);
    const keys = new Map<string, string>();
    for (const [index, name] of names.entries()) {
      const value = values[index];
      if (value !== undefined) keys.set(name, value);
    }
    return keys;
  }

  async #share(version: string, text: string): Promise<true> {
    const isShared =
      (await this.#link.send("GET", this.#key("version"))) === version &&
      (await this.#link.send("PEXPIRE", this.#key("snapshot"), SNAPSHOT_TTL_MS)) === 1;
    const shared = JSON.stringify({ version, keys: text });
    if (!isShared) await this.#link.send("SET", this.#key("snapshot"), shared, "PX", SNAPSHOT_TTL_MS);
    await this.#link.send("SET", this.#key("version"), version, "PX", this.#roundMs * VERSION_ROUNDS);
    return true;
  }

  #key(kind: string): string {
    return `${INTERNAL}${kind}:${this.#prefix}`;
  }

  /** Marks that are gone, or others, tell that Redis has lost what it held. */
  async #epoch(): Promise<string> {
    const names = Array.from(
      { length: this.#link.isSharded ? CLUSTER_MARKS : 1 },
      (_, mark) => `${INTERNAL}epoch:${mark}`,
    );
    const marks = await this.#link.getMany(names);
    const lost = names.filter((_, index) => marks[index] === undefined);
    if (lost.length === 0) return digestOf(marks);
    for (const name of lost) await this.#link.send("SET", name, randomUUID(), "NX");
    return digestOf(await this.#link.getMany(names));
  }
}

/** A Redis that takes no writes can be read all the same. */
function undefinedIfRefused(failure: unknown): undefined {
  if (!isRefusal(failure)) throw failure;
}

function digestOf(marks: readonly (string | undefined)[]): string {
  return createHash("sha1").update(marks.join()).digest("base64url");
}

function roundOf(version: string, keys: Round["keys"]): Round {
  return { version, epoch: version.split(".")[0] || undefined, keys, isAlone: false };
}

/** What another gateway has written, or a stranger. */
function snapshotIn(shared: unknown): Round | undefined {
  try {
    const { version, keys }: { version?: unknown; keys?: unknown } = JSON.parse(String(shared));
    const pairs: unknown = JSON.parse(String(keys));
    if (typeof version !== "string" || !Array.isArray(pairs) || !pairs.every(isPair)) return undefined;
    return roundOf(version, new Map(pairs));
  } catch {
    return undefined;
  }
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "string";
}
