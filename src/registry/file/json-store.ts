import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Entry } from "../table.ts";
import { fileLock } from "./file-lock.ts";
import { errnoOf, type FileStore } from "./file-store.ts";

/**
 * One JSON file with all keys: an object of values by key. A value is an object, or else a string with its text; one with
 * an end is `{ "$value": …, "$expires": "2026-01-01T00:00:00.000Z" }`. Several processes may write it.
 */
export class JsonStore implements FileStore {
  readonly folder: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = resolve(path);
    this.folder = dirname(this.#path);
  }

  concerns(name: string): boolean {
    return name === basename(this.#path);
  }

  async read(): Promise<ReadonlyMap<string, Entry>> {
    const now = Date.now();
    const all = [...(await this.#parsed())].map(([key, written]) => [key, entryOf(key, written)] as const);
    return new Map(all.filter(([, entry]) => entry.expires > now));
  }

  async put(key: string, entry: Entry): Promise<void> {
    await this.#change((all) => all.set(key, writtenOf(entry)));
  }

  async delete(key: string): Promise<boolean> {
    let wasThere = false;
    await this.#change((all) => {
      wasThere = all.delete(key);
    });
    return wasThere;
  }

  async expire(): Promise<void> {
    // What is over is left out by each reader, and by the next writer.
  }

  async #change(change: (all: Map<string, unknown>) => void): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await using _lock = await fileLock(`${this.#path}.lock`);
    const all = await this.#parsed();
    const now = Date.now();
    for (const [key, written] of all) if (entryOf(key, written).expires <= now) all.delete(key);
    change(all);
    const part = `${this.#path}.${randomUUID()}.part`;
    try {
      await writeFile(part, `${JSON.stringify(Object.fromEntries(all), undefined, 2)}\n`, { flush: true });
      await rename(part, this.#path);
    } catch (cause) {
      await rm(part, { force: true });
      throw cause;
    }
  }

  async #parsed(): Promise<Map<string, unknown>> {
    const text = await readFile(this.#path, "utf8").catch((cause: unknown) => {
      if (errnoOf(cause) === "ENOENT") return "{}";
      throw cause;
    });
    const parsed = parse(text, this.#path);
    if (!isObject(parsed)) throw new Error(`${this.#path}: expected an object of values by key`);
    return new Map(Object.entries(parsed));
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: ${messageOf(cause)}`, { cause });
  }
}

function entryOf(key: string, written: unknown): Entry {
  if (!isObject(written) || !("$value" in written)) {
    return { value: textOf(written), expires: Number.POSITIVE_INFINITY };
  }
  const end = written["$expires"];
  const expires = end === undefined ? Number.POSITIVE_INFINITY : Date.parse(String(end));
  if (Number.isNaN(expires)) throw new Error(`${key}: $expires: expected a time like ${new Date(0).toISOString()}`);
  return { value: textOf(written["$value"]), expires };
}

function textOf(written: unknown): string {
  return typeof written === "string" ? written : JSON.stringify(written);
}

/** Objects are written as such, for people to read, where nothing of the text is lost. */
function writtenOf({ value, expires }: Entry): unknown {
  const written = objectIn(value) ?? value;
  if (expires === Number.POSITIVE_INFINITY) return written;
  return { $value: written, $expires: new Date(expires).toISOString() };
}

function objectIn(text: string): object | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) && !("$value" in parsed) && JSON.stringify(parsed) === text ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
