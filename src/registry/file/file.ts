import { type FSWatcher, watch } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { messageOf } from "../../errors.ts";
import { Turns } from "../../shared/turns.ts";
import { type Change, mustFit, type PutOptions, type Registry, ttlOf } from "../registry.ts";
import { MAX_KEYS, Table } from "../table.ts";
import type { FileStore, StoreChange } from "./file-store.ts";
import { FolderStore } from "./folder-store.ts";
import { JsonStore } from "./json-store.ts";

/** Writers touch a file several times within a moment; one reading after the last is enough. */
const SETTLE_MS = 20;

/**
 * Readings rest for so many times as long as the last one took. Own changes give a sign like those of others, and a folder of ten
 * thousand keys takes a tenth of a second: writers would wait for readings most of the time.
 */
const REST_PER_READING = 2;

/** File systems of a network give no sign of changes. As long as a full sync with Redis. */
const POLL_MS = 2_000;

/** How files are looked after. */
export interface FileRegistryOptions {
  /** Gets a sentence when files cannot be read, once per reason: what was known before stays. */
  readonly warn: (message: string) => void;
}

/**
 * A registry that survives a restart and that people edit: a folder with a file per key, or one file whose name ends in
 * `.json`. Changes of others, people and processes of this machine, are seen at once. Rejects when it cannot be read.
 */
export async function fileRegistry(path: string, options: FileRegistryOptions): Promise<Registry> {
  const registry = new FileRegistry(await storeOf(path), options);
  try {
    await registry.open();
    return registry;
  } catch (cause) {
    await registry[Symbol.asyncDispose]();
    throw cause;
  }
}

async function storeOf(path: string): Promise<FileStore> {
  const facts = await stat(path).catch(() => undefined);
  if (facts ? facts.isFile() : path.endsWith(".json")) return new JsonStore(path);
  await mkdir(path, { recursive: true });
  return new FolderStore(path);
}

/** A change that waits to be made. */
interface Waiting extends StoreChange {
  /** Whether the key was there. */
  readonly done: (wasThere: boolean) => void;
  readonly failed: (cause: unknown) => void;
}

class FileRegistry implements Registry {
  readonly #store: FileStore;
  readonly #warn: (message: string) => void;
  readonly #table: Table;
  readonly #poll: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;
  #settling: NodeJS.Timeout | undefined;
  /** Readings and writes one after the other, so that no reading undoes a write that it did not see. */
  readonly #turns = new Turns();
  #isReading = false;
  /** When the next reading may begin. */
  #restsUntil = 0;
  /** Changes that are made together, when what is under way is done. */
  readonly #waiting: Waiting[] = [];
  #complaint = "";
  /** Keys that there was no room for, when the files were read last. */
  #ignored = 0;
  #isClosed = false;

  constructor(store: FileStore, { warn }: FileRegistryOptions) {
    this.#store = store;
    this.#warn = warn;
    this.#table = new Table({ now: Date.now, onExpired: (keys) => this.#expire(keys) });
    this.#poll = setInterval(() => this.#settle(), POLL_MS).unref();
  }

  async open(): Promise<void> {
    await mkdir(this.#store.folder, { recursive: true });
    this.#watch();
    await this.#turns.take(() => this.#read());
  }

  async get(key: string): Promise<string | undefined> {
    this.#mustBeOpen();
    return this.#table.answer(key);
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    this.#mustBeOpen();
    return this.#table.answerAll(prefix);
  }

  async put(key: string, value: string, options: PutOptions = {}): Promise<void> {
    this.#mustBeOpen();
    mustFit(value);
    const expires = Date.now() + (ttlOf(options) ?? Number.POSITIVE_INFINITY);
    await this.#change({ key, entry: { value, expires } });
  }

  async delete(key: string): Promise<boolean> {
    this.#mustBeOpen();
    return await this.#change({ key, entry: undefined });
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change> {
    this.#mustBeOpen();
    return this.#table.watch(prefix, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#settling);
    this.#watcher?.close();
    await this.#turns.idle(); // a write that begins queues the next one
    this.#table.close();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error("registry is closed");
  }

  #change(change: StoreChange): Promise<boolean> {
    return new Promise((done, failed) => {
      this.#waiting.push({ ...change, done, failed });
      if (this.#waiting.length === 1) void this.#turns.take(() => this.#write());
    });
  }

  /** One after the other, as if each had been made alone. */
  async #write(): Promise<void> {
    const waiting = this.#waiting.splice(0, this.#store.together);
    if (this.#waiting.length > 0) void this.#turns.take(() => this.#write());
    const taken = this.#takenOf(waiting);
    let told = 0;
    try {
      for await (const result of this.#store.change(taken)) {
        const change = taken[told++];
        if (change) this.#tell(change, result);
      }
    } catch (cause) {
      for (const { failed } of taken.slice(told)) failed(cause);
    }
  }

  #tell({ key, entry, done, failed }: Waiting, result: PromiseSettledResult<boolean>): void {
    if (result.status === "rejected") {
      failed(result.reason);
      return;
    }
    const wasLive = this.#table.get(key) !== undefined;
    if (entry) this.#table.set(key, entry.value, entry.expires);
    else this.#table.delete(key);
    done(wasLive && result.value);
  }

  /** Those that there is room for; the others are told that there is none. */
  #takenOf(waiting: readonly Waiting[]): readonly Waiting[] {
    const planned = new Map<string, boolean>();
    let size = this.#table.entries().size;
    return waiting.filter(({ key, entry, failed }) => {
      const isThere = planned.get(key) ?? this.#table.get(key) !== undefined;
      if (entry && !isThere && size >= MAX_KEYS) {
        failed(new Error(`registry is full: ${MAX_KEYS} keys`));
        return false;
      }
      size += Number(entry !== undefined) - Number(isThere);
      planned.set(key, entry !== undefined);
      return true;
    });
  }

  #watch(): void {
    const watcher = watch(this.#store.folder, { persistent: false }, (_event, name) => {
      if (name === null || this.#store.concerns(name)) this.#settle();
    });
    watcher.on("error", () => watcher.close()); // the poll goes on
    this.#watcher = watcher;
  }

  #settle(): void {
    if (this.#isClosed) return;
    const rest = Math.ceil(this.#restsUntil - performance.now());
    this.#settling ??= setTimeout(
      () => {
        this.#settling = undefined;
        this.#reread();
      },
      Math.max(SETTLE_MS, rest),
    ).unref();
  }

  /** At most one reading waits; the one that runs may have begun before the change. */
  #reread(): void {
    if (this.#isReading || this.#isClosed) return;
    this.#isReading = true;
    const reading = this.#turns.take(async () => {
      this.#isReading = false;
      const began = performance.now();
      if (began < this.#restsUntil) return this.#settle(); // it was asked for while the last one ran
      await this.#read();
      const ended = performance.now();
      this.#restsUntil = ended + (ended - began) * REST_PER_READING;
    });
    reading.then(
      () => {
        this.#complaint = "";
      },
      (cause) => this.#complain(messageOf(cause)),
    );
  }

  async #read(): Promise<void> {
    if (this.#isClosed) return;
    const found = await this.#store.read();
    for (const key of [...this.#table.entries().keys()]) if (!found.has(key)) this.#table.delete(key);
    let ignored = 0;
    for (const [key, { value, expires }] of found) if (!this.#table.set(key, value, expires)) ignored++;
    if (ignored > 0 && this.#ignored === 0) this.#warn(`${ignored} keys are ignored: more than ${MAX_KEYS}`);
    this.#ignored = ignored;
  }

  #complain(complaint: string): void {
    if (complaint === this.#complaint || this.#isClosed) return;
    this.#complaint = complaint;
    this.#warn(`registry cannot be read, what was known stays: ${complaint}`);
  }

  #expire(keys: readonly string[]): void {
    this.#turns.take(() => this.#store.expire(keys)).catch((cause: unknown) => this.#complain(messageOf(cause)));
  }
}
