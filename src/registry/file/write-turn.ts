import { randomInt, randomUUID } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf } from "./file-store.ts";

// Each writer has a file of its own beside the one that they write, by a name that nobody else ever has. Whose file is the only one has
// the turn, and what he writes goes into it until it takes the place of the other. So nobody can take away a lock that is not the one he
// looked at, and nobody can write whose own was taken away.

/** Holders rewrite one file, which takes milliseconds; a file so old was left by a process that died. */
const STALE_MS = 5_000;
const PATIENCE_MS = 10_000;
const MAX_PAUSE_MS = 20;

/** Behind the name of the file that is written. */
const OWN = /^\.[\da-f-]{36}\.lock$/;

/** The turn to write a file anew. It ends when it is disposed. */
export interface WriteTurn extends AsyncDisposable {
  /**
   * Puts a text in the place of the file, for good when it resolves: with what tells this content from another. Undefined: it took so
   * long that others have taken the turn; nothing was written.
   */
  replace(text: string): Promise<BigIntStats | undefined>;
}

/** Waits until no other process writes the same file. Rejects when that takes longer than 10 s. */
export async function writeTurn(path: string): Promise<WriteTurn> {
  const deadline = performance.now() + PATIENCE_MS;
  let own: OwnFile | undefined;
  try {
    for (;;) {
      const others = await othersAt(path, own?.name);
      if (others.length === 0) {
        if (own) return own;
        own = await OwnFile.make(path);
        continue; // somebody else may have done the same meanwhile
      }
      if (performance.now() > deadline) throw new Error(`${path} is held by another process`);
      if (own && isBehind(own.name, others)) {
        await own[Symbol.asyncDispose]();
        own = undefined;
      }
      await sleep(randomInt(1, MAX_PAUSE_MS));
    }
  } catch (cause) {
    await own?.[Symbol.asyncDispose]();
    throw cause;
  }
}

/** Of several who came at once one stays, and the others give way. */
function isBehind(own: string, others: readonly string[]): boolean {
  return others.some((other) => other < own);
}

/** Whose files are there, without those of the dead, which are taken away. */
async function othersAt(path: string, own: string | undefined): Promise<readonly string[]> {
  const [folder, name] = [dirname(path), basename(path)];
  const living: string[] = [];
  for (const found of await readdir(folder, { withFileTypes: true })) {
    const other = found.name;
    if (other === own || !other.startsWith(name) || !OWN.test(other.slice(name.length)) || !found.isFile()) continue;
    if (await isStale(join(folder, other))) await rm(join(folder, other), { force: true });
    else living.push(other);
  }
  return living;
}

/** A clock that was set tells nothing: one who lives and is taken for dead writes nothing, and comes again. */
async function isStale(path: string): Promise<boolean> {
  const facts = await stat(path).catch(() => undefined);
  return facts === undefined || Math.abs(Date.now() - facts.mtimeMs) > STALE_MS;
}

class OwnFile implements WriteTurn {
  readonly name: string;
  readonly #path: string;
  readonly #target: string;
  readonly #file: FileHandle;

  private constructor(path: string, target: string, file: FileHandle) {
    this.name = basename(path);
    this.#path = path;
    this.#target = target;
    this.#file = file;
  }

  static async make(target: string): Promise<OwnFile> {
    const path = `${target}.${randomUUID()}.lock`;
    return new OwnFile(path, target, await open(path, "wx"));
  }

  async replace(text: string): Promise<BigIntStats | undefined> {
    await this.#file.writeFile(text);
    await this.#file.sync();
    const facts = await this.#file.stat({ bigint: true });
    await this.#file.close();
    try {
      await rename(this.#path, this.#target); // fails where others have taken it away, however shortly before
      return facts;
    } catch (cause) {
      if (errnoOf(cause) === "ENOENT") return undefined;
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    await rm(this.#path, { force: true });
  }
}
