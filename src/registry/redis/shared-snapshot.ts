import { createHash, randomUUID } from "node:crypto";
import { isRefusal, type RedisLink, redisScript } from "./redis-link.ts";

/** Keys of the driver itself begin so, and are no keys of the registry. */
export const INTERNAL = "~";

/** A snapshot that nobody has asked for so long is taken away by Redis. */
const SNAPSHOT_TTL_MS = 3_600_000;

/** A version outlives some rounds in which nobody scans, so that a slow one does not make everybody scan. */
const VERSION_ROUNDS = 5;

/** So often is walked anew where Redis loses its data meanwhile, before the next round is left to it. */
const MOST_WALKS = 3;

/** The lock is over before the next round, so that each round finds a scan no older than the round is long. */
const LOCK_SHARE = 0.9;

/** Nodes of a Cluster lose their data one by one; among so many marks each of a few nodes has some. */
const CLUSTER_MARKS = 16;

/**
 * A mark, which goes with the data, and which process of Redis answers: one that was restarted from its disk, or a replica that became
 * the master, has the mark and may lack what came last. Writes always, so that a replica refuses: it is not asked for long.
 */
const MARK = redisScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local said = redis.pcall('INFO', 'server')
return { redis.call('GET', KEYS[1]), type(said) == 'string' and string.match(said, 'run_id:(%w+)') or '' }`);

/** What a round has found. */
export interface Round {
  /** Changes with the contents. */
  readonly version: string;
  /** See {@link changeOf}. Undefined: that cannot be told, as Redis takes no writes. */
  readonly epoch: string | undefined;
  /** Undefined: the version is the one that the caller knows. */
  readonly keys: ReadonlyMap<string, string> | undefined;
  /** Redis takes no writes, so that each process walks through the keys for itself. */
  readonly isAlone: boolean;
  /** What was shared before Redis went away, and nobody has looked since: it tells nothing. */
  readonly isStale: boolean;
}

/** What has become of Redis' data from one epoch to another: nothing, all is gone, or it may be older than what was there. */
export function changeOf(before: string | undefined, epoch: string | undefined): "none" | "emptied" | "older" {
  if (before === undefined || epoch === undefined || before === epoch) return "none";
  const [marksBefore, runBefore] = before.split(",");
  const [marks, run] = epoch.split(",");
  if (marks !== marksBefore) return "emptied";
  return runBefore && run ? "older" : "none"; // who may not ask cannot tell
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
   * What there is now: walks through all keys, and shares what it has found, unless Redis takes no writes. A walk during which Redis has
   * lost its data tells nothing of it: what is not there would be taken for deleted. Rejects with `RC_REGISTRY`.
   */
  async take(): Promise<Round> {
    let epoch = await this.#epoch().catch(undefinedIfRefused);
    for (let walks = 0; walks < MOST_WALKS; walks++) {
      const keys = await this.#walk();
      const before = epoch;
      epoch = await this.#epoch().catch(undefinedIfRefused);
      if (epoch === before) return await this.#found(epoch, keys);
    }
    return { ...roundOf("", undefined), isStale: true };
  }

  async #found(epoch: string | undefined, keys: ReadonlyMap<string, string>): Promise<Round> {
    const text = JSON.stringify([...keys]);
    const version = `${epoch ?? ""}.${createHash("sha1").update(text).digest("base64url")}`;
    const isShared = epoch !== undefined && (await this.#share(version, text).catch(undefinedIfRefused));
    return { version, epoch, keys, isAlone: isShared !== true, isStale: false };
  }

  /**
   * What there was when somebody looked last, at most a round ago. `isBack`: Redis was away meanwhile, and what was shared may have come
   * from its disk. Rejects with `RC_REGISTRY`.
   */
  async read(known: string | undefined, isBack: boolean): Promise<Round> {
    const lockMs = Math.ceil(this.#roundMs * LOCK_SHARE);
    const lock = await this.#link.send("SET", this.#key("sync"), "", "NX", "PX", lockMs).catch(undefinedIfRefused);
    if (lock === "OK") return await this.take();
    const version = await this.#link.send("GET", this.#key("version"));
    if (isBack && lock !== undefined && (await this.#isStale(version)))
      return { ...roundOf(known ?? "", undefined), isStale: true };
    if (typeof version !== "string")
      return known === undefined || lock === undefined ? await this.take() : roundOf(known, undefined);
    if (version === known) return roundOf(known, undefined);
    return snapshotIn(await this.#link.send("GET", this.#key("snapshot"))) ?? (await this.take());
  }

  async #isStale(version: unknown): Promise<boolean> {
    const epoch = await this.#epoch().catch(undefinedIfRefused);
    return epoch !== undefined && (typeof version !== "string" || epochIn(version) !== epoch);
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

  /** Marks that are gone, or others, tell that Redis has lost what it held; other processes, that it may hold what was before. */
  async #epoch(): Promise<string> {
    const names = Array.from(
      { length: this.#link.isSharded ? CLUSTER_MARKS : 1 },
      (_, mark) => `${INTERNAL}epoch:${mark}`,
    );
    const answers = await Promise.all(names.map((name) => this.#link.run(MARK, [name], [randomUUID()])));
    const pairs = answers.map((answer) => (Array.isArray(answer) ? answer.map(String) : []));
    const runs = pairs.map(([, run = ""]) => run);
    return `${digestOf(pairs.map(([mark]) => mark))},${runs.includes("") ? "" : digestOf(runs)}`;
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
  return { version, epoch: epochIn(version), keys, isAlone: false, isStale: false };
}

function epochIn(version: string): string | undefined {
  return version.split(".")[0] || undefined;
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
