import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../../errors.ts";
import { isPartEnd, partEnd, sweepPart } from "../part.ts";

/** A burst of changes is written once. What is lost by a crash is what changed in the last second. */
const SETTLE_MS = 1_000;

/** What is known of the keys below one prefix. */
export interface Saved {
  readonly keys: ReadonlyMap<string, string>;
  /** What the Redis is known by that had them; undefined: that could not be told. */
  readonly epoch: string | undefined;
  /** Those without an end, as far as somebody wants to know. */
  readonly lasting: ReadonlySet<string>;
  /** When Redis was heard of it last, in milliseconds since 1970 by this machine's clock; NaN: nobody knows. */
  readonly heardAt: number;
}

/** What is known, by prefix. */
export type Known = ReadonlyMap<string, Saved>;

interface DiskSnapshotOptions {
  readonly path: string;
  /** Of the keys in Redis: another one means another registry. */
  readonly prefix: string;
  /** What to write. */
  readonly known: () => Known;
  readonly warn: (text: string) => void;
}

/** Keeps what the registry knows in a file, for a start while Redis is away. Several workers may write it: the last one wins. */
export class DiskSnapshot {
  readonly #options: DiskSnapshotOptions;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: DiskSnapshotOptions) {
    this.#options = options;
  }

  /** What was written last; nothing where there is no file, or one that cannot be understood. */
  async read(): Promise<Known> {
    const { path, prefix, warn } = this.#options;
    await sweep(path).catch(() => {}); // the next start tries again
    try {
      const text = await readFile(path, "utf8").catch(() => undefined);
      return text === undefined ? new Map() : knownIn(JSON.parse(text), prefix);
    } catch (cause) {
      warn(`${path} is ignored: ${messageOf(cause)}`);
      return new Map();
    }
  }

  /** Something has changed: writes it soon. */
  touch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, SETTLE_MS).unref();
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    if (this.#timer) this.#write();
    clearTimeout(this.#timer);
    await this.#writing;
  }

  #write(): void {
    const { prefix, known } = this.#options;
    const all = [...known()];
    if (all.length === 0) return;
    const follows = Object.fromEntries(all.map(([name, { keys }]) => [name, Object.fromEntries(keys)]));
    const seen = Object.fromEntries(all.map(([name, saved]) => [name, seenOf(saved)]));
    const text = JSON.stringify({ prefix, savedAt: new Date().toISOString(), follows, seen });
    this.#writing = this.#writing.then(() => this.#replace(text));
  }

  async #replace(text: string): Promise<void> {
    const { path, warn } = this.#options;
    const part = `${path}${partEnd()}`;
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(part, text, { mode: 0o600, flush: true });
      await rename(part, path);
      this.#hasFailed = false;
    } catch (cause) {
      await rm(part, { force: true }).catch(() => {});
      if (!this.#hasFailed) warn(`${path} cannot be written: ${messageOf(cause)}`);
      this.#hasFailed = true;
    }
  }
}

/** Takes away what processes have left that were killed while they wrote. */
async function sweep(path: string): Promise<void> {
  const [folder, own] = [dirname(path), basename(path)];
  for (const name of await readdir(folder)) {
    if (name.startsWith(own) && isPartEnd(name.slice(own.length))) await sweepPart(join(folder, name));
  }
}

function knownIn(saved: unknown, prefix: string): Known {
  if (!isObject(saved) || !isObject(saved["follows"])) throw new Error("expected { prefix, savedAt, follows }");
  if (saved["prefix"] !== prefix) return new Map();
  const seen = isObject(saved["seen"]) ? saved["seen"] : {};
  return new Map(
    Object.entries(saved["follows"]).map(([name, keys]) => [name, savedIn(keys, seen[name], saved["savedAt"])]),
  );
}

function savedIn(keys: unknown, seen: unknown, savedAt: unknown): Saved {
  const { epoch, lasting, heardAt = savedAt } = isObject(seen) ? seen : {};
  return {
    keys: textsIn(keys),
    epoch: typeof epoch === "string" ? epoch : undefined,
    lasting: new Set(Array.isArray(lasting) ? lasting.filter((key) => typeof key === "string") : []),
    heardAt: heardAtIn(heardAt, savedAt),
  };
}

/** The file may be younger than what it says of keys that nobody has heard of since. By a clock that was set, neither tells anything. */
function heardAtIn(...dates: readonly unknown[]): number {
  const times = dates.map((date) => (typeof date === "string" ? Date.parse(date) : Number.NaN));
  return Math.max(...times) > Date.now() ? Number.NaN : Math.min(...times);
}

/** What is said of the keys below a prefix. */
function seenOf({ epoch, lasting, heardAt }: Saved) {
  const heard = Number.isNaN(heardAt) ? "" : new Date(heardAt).toISOString();
  return { epoch, lasting: [...lasting], heardAt: heard };
}

function textsIn(keys: unknown): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  if (!isObject(keys)) return texts;
  for (const [key, value] of Object.entries(keys)) if (typeof value === "string") texts.set(key, value);
  return texts;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
