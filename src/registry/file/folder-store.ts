import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Entry } from "../table.ts";
import { errnoOf, type FileStore, MAX_VALUE_BYTES, type StoreChange } from "./file-store.ts";

/** Longest file name of all usual file systems, less the room for an end: `~` and 13 digits or more. */
const MAX_NAME = 239;

/** Parts that a write was interrupted in are older than any write takes. */
const MAX_PART_AGE_MS = 60_000;

/** A file that was read, and what tells that it is another one now. */
interface Known {
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
    for (const name of await readdir(this.folder)) {
      const known = this.concerns(name) ? await this.#load(name) : await this.#sweep(name);
      if (!known) continue;
      files.set(name, known);
      const other = found.get(known.key); // a writer was interrupted, or is about to take the older one away
      if (!other || other.mtimeMs < known.mtimeMs) found.set(known.key, known);
    }
    this.#known = files;
    const now = Date.now();
    const live = [...found.values()].filter(({ entry }) => entry.expires > now);
    return new Map(live.map(({ key, entry }) => [key, entry]));
  }

  async change(changes: readonly StoreChange[]): Promise<readonly PromiseSettledResult<boolean>[]> {
    const results: PromiseSettledResult<boolean>[] = [];
    for (const { key, entry } of changes)
      results.push(...(await Promise.allSettled([entry ? this.#put(key, entry) : this.#delete(key)])));
    return results;
  }

  async #put(key: string, { value, expires }: Entry): Promise<boolean> {
    const name = nameOf(key) + (expires === Number.POSITIVE_INFINITY ? "" : `~${Math.ceil(expires)}`);
    const part = join(this.folder, `.${randomUUID()}.part`);
    try {
      await mkdir(this.folder, { recursive: true });
      await writeFile(part, value, { flush: expires === Number.POSITIVE_INFINITY });
      await rename(part, join(this.folder, name));
    } catch (cause) {
      await rm(part, { force: true });
      throw cause;
    }
    for (const other of await this.#namesOf(key)) if (other !== name) await this.#remove(other);
    return true;
  }

  async #delete(key: string): Promise<boolean> {
    let wasThere = false;
    for (const name of await this.#namesOf(key)) wasThere = (await this.#remove(name)) || wasThere;
    return wasThere;
  }

  async expire(keys: readonly string[]): Promise<void> {
    const over = new Set(keys);
    const now = Date.now();
    for (const name of await readdir(this.folder)) {
      const { key, expires } = partsOf(name);
      if (over.has(key) && expires <= now) await this.#remove(name);
    }
  }

  async #namesOf(key: string): Promise<readonly string[]> {
    const names = await readdir(this.folder).catch(() => []);
    return names.filter((name) => this.concerns(name) && partsOf(name).key === key);
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

  async #load(name: string): Promise<Known | undefined> {
    const path = join(this.folder, name);
    try {
      const { mtimeMs, size, ino, isFile } = await factsOf(path);
      if (!isFile || size > MAX_VALUE_BYTES) return undefined;
      const stamp = `${ino} ${mtimeMs} ${size}`;
      const before = this.#known.get(name);
      if (before?.stamp === stamp) return before;
      const { key, expires } = partsOf(name);
      return { key, entry: { value: await readFile(path, "utf8"), expires }, stamp, mtimeMs };
    } catch (cause) {
      if (errnoOf(cause) === "ENOENT") return undefined; // gone since the folder was listed
      throw cause;
    }
  }

  async #sweep(name: string): Promise<undefined> {
    if (!/^\.[\da-f-]{36}\.part$/.test(name)) return;
    const path = join(this.folder, name);
    const facts = await factsOf(path).catch(() => undefined);
    if (facts && Date.now() - facts.mtimeMs > MAX_PART_AGE_MS) await rm(path, { force: true });
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

function partsOf(name: string): { readonly key: string; readonly expires: number } {
  const [, encoded = name, end] = /^(.*)~(\d{1,16})$/.exec(name) ?? [];
  const expires = end === undefined ? Number.POSITIVE_INFINITY : Number(end);
  try {
    return { key: decodeURIComponent(encoded), expires };
  } catch {
    return { key: encoded, expires }; // somebody's own file with a percent sign
  }
}
