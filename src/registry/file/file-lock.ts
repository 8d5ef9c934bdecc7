import { randomInt } from "node:crypto";
import { open, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf } from "./file-store.ts";

/** Holders rewrite one file, which takes milliseconds; a lock so old was left by a process that died. */
const STALE_MS = 5_000;
const PATIENCE_MS = 10_000;
const MAX_PAUSE_MS = 20;

/** Keeps other processes from writing the same file, until it is disposed. Rejects when that takes longer than 10 s. */
export async function fileLock(path: string): Promise<AsyncDisposable> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await create(path))) {
    if (performance.now() > deadline) throw new Error(`${path} is held by another process`);
    if (await isStale(path)) await rm(path, { force: true });
    else await sleep(randomInt(1, MAX_PAUSE_MS));
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

async function create(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx")).close();
    return true;
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") return false;
    throw cause;
  }
}

async function isStale(path: string): Promise<boolean> {
  const facts = await stat(path).catch(() => undefined);
  return facts !== undefined && Date.now() - facts.mtimeMs > STALE_MS;
}
