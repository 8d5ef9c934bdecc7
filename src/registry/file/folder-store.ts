import { mkdir, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isPartEnd, partEnd, sweepPart } from "../part.ts";
import type { Entry } from "../table.ts";
import { errnoOf, type FileStore, MAX_VALUE_BYTES, type StoreChange } from "./file-store.ts";

/** Longest file name of all usual file systems, less the room for an end: `~` and 13 digits or more. */
const MAX_NAME = 239;

/** A folder is listed once for so many changes: far more often than others change the same key, far less than for each. */
const MAX_TOGETHER = 250;

/** Files that are written side by side: disks take several in about the time of one. As many as Node has threads for. */
const MAX_SIDE_BY_SIDE = 4;

/** Files that are looked at together: enough that nobody waits for each way to the disk, little next to the files a process may open. */
const MAX_READ_AT_ONCE = 32;

/** The files of keys that are about to change. */
type Names = ReadonlyMap<string, Set<string>>;

/** A file that was read, and what tells that it is another one now. */
interface Known {
  readonly name: string;
  readonly key: string;
  readonly entry: Entry;
  readonly stamp: string;
  readonly mtimeMs: number;
}

/**
 * A folder with a file per key: the name is the key, percent-encoded where file systems need it, the content is the value.
 * A key with an end has it behind its name: `worker:12~1790000000000`.
 */
export class FolderStore implements FileStore {
  readonly folder: string;
  readonly together = MAX_TOGETHER;
  #known: ReadonlyMap<string, Known> = new Map();

  constructor(folder: string) {
    this.folder = folder;
  }

  concerns(name: string): boolean {
    return !name.startsWith(".");
  }

  async read(): Promise<ReadonlyMap<string, Entry>> {
    const files = new Map<string, Known>();
    const found = new Map<string, Known>();
    const names = await readdir(this.folder);
    for (let from = 0; from < names.length; from += MAX_READ_AT_ONCE) {
      const some = names.slice(from, from + MAX_READ_AT_ONCE);
      for (const known of await Promise.all(some.map((name) => this.#look(name)))) {
        if (!known) continue;
        files.set(known.name, known);
        const other = found.get(known.key); // a writer was interrupted, or is about to take the older one away
        if (!other || other.mtimeMs < known.mtimeMs) found.set(known.key, known);
      }
    }
    this.#known = files;
    const now = Date.now();
    const live = [...found.values()].filter(({ entry }) => entry.expires > now);
    return new Map(live.map(({ key, entry }) => [key, entry]));
  }

  async *change(changes: readonly StoreChange[]): AsyncGenerator<PromiseSettledResult<boolean>> {
    await mkdir(this.folder, { recursive: true });
    const names = await this.#namesOf(changes.map(({ key }) => key));
    for (const some of sideBySide(changes)) yield* await Promise.allSettled(some.map((one) => this.#make(one, names)));
  }

  async #make({ key, entry }: StoreChange, names: Names): Promise<boolean> {
    const files = names.get(key) ?? new Set();
    const name = entry && (await this.#write(key, entry));
    let wasThere = false;
    for (const file of files) {
      wasThere = file === name || (await this.#remove(file)) || wasThere;
      files.delete(file);
    }
    if (name !== undefined) files.add(name);
    return wasThere;
  }

  /** The name of the file, which has its content as soon as it is there. */
  async #write(key: string, { value, expires }: Entry): Promise<string> {
    const name = nameOf(key) + (expires === Number.POSITIVE_INFINITY ? "" : `~${Math.ceil(expires)}`);
    const part = join(this.folder, partEnd());
    try {
      await writeFile(part, value, { flush: expires === Number.POSITIVE_INFINITY });
      await rename(part, join(this.folder, name));
      return name;
    } catch (cause) {
      await rm(part, { force: true });
      throw cause;
    }
  }

  async expire(keys: readonly string[]): Promise<void> {
    const over = new Set(keys);
    const now = Date.now();
    for (const name of await readdir(this.folder)) {
      const { key, expires } = partsOf(name);
      if (over.has(key) && expires <= now) await this.#remove(name);
    }
  }

  async #namesOf(keys: readonly string[]): Promise<Names> {
    const names = new Map(keys.map((key) => [key, new Set<string>()]));
    for (const name of await readdir(this.folder)) if (this.concerns(name)) names.get(partsOf(name).key)?.add(name);
    return names;
  }

  /** False: it was not there any more. */
  async #remove(name: string): Promise<boolean> {
    try {
      await unlink(join(this.folder, name));
      return true;
    } catch (cause) {
      if (errnoOf(cause) === "ENOENT") return false;
      throw cause;
    }
  }

  #look(name: string): Promise<Known | undefined> {
    return this.concerns(name) ? this.#load(name) : this.#sweep(name);
  }

  async #load(name: string): Promise<Known | undefined> {
    const path = join(this.folder, name);
    try {
      const { mtimeMs, size, ino, isFile } = await factsOf(path);
      if (!isFile || size > MAX_VALUE_BYTES) return undefined;
      const stamp = `${ino} ${mtimeMs} ${size}`;
      const before = this.#known.get(name);
      if (before?.stamp === stamp) return before;
      const { key, expires } = partsOf(name);
      return { name, key, entry: { value: await readFile(path, "utf8"), expires }, stamp, mtimeMs };
    } catch (cause) {
      if (errnoOf(cause) === "ENOENT") return undefined; // gone since the folder was listed
      throw cause;
    }
  }

  async #sweep(name: string): Promise<undefined> {
    if (isPartEnd(name)) await sweepPart(join(this.folder, name));
  }
}

async function factsOf(path: string): Promise<{ mtimeMs: number; size: number; ino: number; isFile: boolean }> {
  const stats = await stat(path);
  return { mtimeMs: stats.mtimeMs, size: stats.size, ino: stats.ino, isFile: stats.isFile() };
}

/** @throws TypeError for a key that no file can be named after */
function nameOf(key: string): string {
  if (key === "" || /[\ud800-\udfff]/u.test(key)) throw new TypeError("key: expected text"); // half a pair has no UTF-8
  const name = encodeURIComponent(key)
    .replace(/[~*'()!]|^\./g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%3A", process.platform === "win32" ? "%3A" : ":");
  if (name.length > MAX_NAME) throw new TypeError(`key: expected ${MAX_NAME} characters at most, not ${name.length}`);
  return name;
}

/** Changes in their order, a few at a time, and never two of a key: whoever comes later finds what was made before. */
function* sideBySide(changes: readonly StoreChange[]): Generator<readonly StoreChange[]> {
  let some = new Map<string, StoreChange>();
  for (const change of changes) {
    if (some.size === MAX_SIDE_BY_SIDE || some.has(change.key)) {
      yield [...some.values()];
      some = new Map();
    }
    some.set(change.key, change);
  }
  yield [...some.values()];
}

function partsOf(name: string): { readonly key: string; readonly expires: number } {
  const [, encoded = name, end] = /^(.*)~(\d{1,16})$/.exec(name) ?? [];
  const expires = end === undefined ? Number.POSITIVE_INFINITY : Number(end);
  try {
    return { key: decodeURIComponent(encoded), expires };
  } catch {
    return { key: encoded, expires }; // somebody's own file with a percent sign
  }
}
