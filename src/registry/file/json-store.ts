import type { BigIntStats } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Entry } from "../table.ts";
import { errnoOf, type FileStore, type StoreChange } from "./file-store.ts";
import { type WriteTurn, writeTurn } from "./write-turn.ts";

/** So many are written within some 0.1 s: others who write the same file wait no longer for their turn. */
const MAX_TOGETHER = 5_000;

/** A process that was stopped for long has lost its turn, and changes what is in the file by then. Again and again, the disk is too slow. */
const MAX_TURNS = 3;

/** A key as it is in the file. Of many keys a change concerns a few: the others are not looked at again. */
interface Kept {
  readonly written: unknown;
  readonly entry: Entry;
  /** Its lines, from the first write on. */
  lines?: string;
}

/**
 * One JSON file with all keys: an object of values by key. A value is an object, or else a string with its text; one with
 * an end is `{ "$value": …, "$expires": "2026-01-01T00:00:00.000Z" }`. Several processes may write it. Each change rewrites it, so
 * that many are made at once.
 */
export class JsonStore implements FileStore {
  readonly folder: string;
  readonly together = MAX_TOGETHER;
  readonly #path: string;
  /** What was written or read last, as long as the file is the same. */
  #last: { readonly stamp: string; readonly all: Map<string, Kept> } | undefined;

  constructor(path: string) {
    this.#path = resolve(path);
    this.folder = dirname(this.#path);
  }

  concerns(name: string): boolean {
    return name === basename(this.#path);
  }

  async read(): Promise<ReadonlyMap<string, Entry>> {
    const now = Date.now();
    const live = new Map<string, Entry>();
    for (const [key, { entry }] of await this.#parsed()) if (entry.expires > now) live.set(key, entry);
    return live;
  }

  async *change(changes: readonly StoreChange[]): AsyncGenerator<PromiseSettledResult<boolean>> {
    await mkdir(this.folder, { recursive: true });
    yield* await this.#change(changes); // told when nobody waits for the turn any more
  }

  async #change(changes: readonly StoreChange[]): Promise<readonly PromiseSettledResult<boolean>[]> {
    for (let turns = 0; turns < MAX_TURNS; turns++) {
      await using turn = await writeTurn(this.#path);
      const results = await this.#changeIn(turn, changes);
      if (results) return results;
    }
    throw new Error(`${this.#path} takes too long to write`);
  }

  /** Undefined: the turn was over before. */
  async #changeIn(turn: WriteTurn, changes: readonly StoreChange[]) {
    const all = await this.#parsed();
    this.#last = undefined; // it is not what is in the file, until that is written
    const now = Date.now();
    for (const [key, { entry }] of all) if (entry.expires <= now) all.delete(key);
    const results = changes.map(({ key, entry }) => {
      const wasThere = all.has(key);
      if (entry) all.set(key, keptOf(key, writtenOf(entry)));
      else all.delete(key);
      return { status: "fulfilled", value: wasThere } as const;
    });
    const facts = await turn.replace(textOfAll(all));
    if (facts) this.#last = { stamp: stampIn(facts), all };
    return facts && results;
  }

  async expire(): Promise<void> {
    // What is over is left out by each reader, and by the next writer.
  }

  async #parsed(): Promise<Map<string, Kept>> {
    const stamp = await stampOf(this.#path); // before it is read: of a file that changes meanwhile the older one
    if (stamp !== undefined && stamp === this.#last?.stamp) return this.#last.all;
    const all = await this.#readAll();
    this.#last = stamp === undefined ? undefined : { stamp, all };
    return all;
  }

  async #readAll(): Promise<Map<string, Kept>> {
    const text = await readFile(this.#path, "utf8").catch((cause: unknown) => {
      if (errnoOf(cause) === "ENOENT") return "{}";
      throw cause;
    });
    const parsed = parse(text, this.#path);
    if (!isObject(parsed)) throw new Error(`${this.#path}: expected an object of values by key`);
    return new Map(Object.entries(parsed).map(([key, written]) => [key, keptOf(key, written)]));
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Tells one content of a file from another, as editors and this store write it: undefined where there is none. */
async function stampOf(path: string): Promise<string | undefined> {
  const facts = await stat(path, { bigint: true }).catch(() => undefined);
  return facts && stampIn(facts);
}

function stampIn({ ino, mtimeNs, size }: BigIntStats): string {
  return `${ino} ${mtimeNs} ${size}`;
}

function keptOf(key: string, written: unknown): Kept {
  return { written, entry: entryOf(key, written) };
}

/** As `JSON.stringify` writes an object with two spaces. */
function textOfAll(all: ReadonlyMap<string, Kept>): string {
  const lines: string[] = [];
  for (const [key, kept] of all) {
    kept.lines ??= `${JSON.stringify(key)}: ${JSON.stringify(kept.written, undefined, 2)}`.replaceAll("\n", "\n  ");
    lines.push(kept.lines);
  }
  return lines.length === 0 ? "{}\n" : `{\n  ${lines.join(",\n  ")}\n}\n`;
}

function entryOf(key: string, written: unknown): Entry {
  const value = isObject(written) && "$value" in written ? written["$value"] : written;
  return { value: textOf(value), expires: endOf(key, written) };
}

function endOf(key: string, written: unknown): number {
  if (!isObject(written) || !("$value" in written)) return Number.POSITIVE_INFINITY;
  const end = written["$expires"];
  const expires = end === undefined ? Number.POSITIVE_INFINITY : Date.parse(String(end));
  if (Number.isNaN(expires)) throw new Error(`${key}: $expires: expected a time like ${new Date(0).toISOString()}`);
  return expires;
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
