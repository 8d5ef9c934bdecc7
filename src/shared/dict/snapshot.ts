import { createHash, randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import type { Kept } from "./peek.ts";
import type { SharedDict } from "./shared-dict.ts";
import { lineOf, linesOf, type SnapshotEntry, snapshotEnd, snapshotHead } from "./snapshot-lines.ts";

/** Only the gateway's user may read what clients said. */
const MODE = 0o600;

/** Written at once: some milliseconds of work between two turns of the loop, however large the values are. */
const PORTION_CHARS = 256 * 1024;

/** Two saves of this process or of others never write to the same file. */
const NAME_BYTES = 6;

/** What a snapshot is made of and loaded into. */
interface Snapshotted extends Pick<SharedDict, "scan" | "safeSet" | "delete" | "rpush" | "expire"> {
  peek(key: string): Kept | undefined;
}

/** The save that runs for a path, and the one that comes after it: all who ask meanwhile share that one. */
interface Saves {
  readonly running: Promise<number>;
  next: Promise<number> | undefined;
}

const saves = new WeakMap<Snapshotted, Map<string, Saves>>();

/**
 * Writes all entries beside `path`, and then puts that file in its place. Each entry is as it was at one moment, not all at the same.
 * One save at a time for a path: an older file never replaces a newer one, and a timer that is faster than the disk piles up nothing.
 */
export async function saveSnapshot(dict: Snapshotted, path: string): Promise<number> {
  const ofDict = saves.get(dict) ?? new Map<string, Saves>();
  saves.set(dict, ofDict);
  const before = ofDict.get(path);
  if (before) {
    before.next ??= before.running.then(ignore, ignore).then(() => begin());
    return before.next;
  }
  return begin();

  function begin(): Promise<number> {
    const own: Saves = { running: replaceFile(dict, path), next: undefined };
    ofDict.set(path, own);
    const end = (): void => void (own.next === undefined && ofDict.delete(path));
    own.running.then(end, end);
    return own.running;
  }
}

function ignore(): void {}

async function replaceFile(dict: Snapshotted, path: string): Promise<number> {
  const beside = `${path}.${randomBytes(NAME_BYTES).toString("hex")}.tmp`;
  try {
    const count = await writeTo(beside, dict);
    await rename(beside, path);
    return count;
  } finally {
    await rm(beside, { force: true });
  }
}

async function writeTo(path: string, dict: Snapshotted): Promise<number> {
  const file = await open(path, "wx", MODE);
  const digest = createHash("sha256");
  try {
    let count = 0;
    for (const { text, entries } of portions(dict)) {
      digest.update(text);
      await file.writeFile(text);
      count += entries;
    }
    await file.writeFile(snapshotEnd(count, digest.digest("hex")));
    await file.sync();
    return count;
  } finally {
    await file.close();
  }
}

/** The lines of a snapshot but for the last, as much of them at a time as is written at once. */
function* portions(dict: Snapshotted): Generator<{ readonly text: string; readonly entries: number }> {
  let text = snapshotHead();
  let entries = 0;
  for (const key of keysOf(dict)) {
    const kept = dict.peek(key);
    if (kept === undefined) continue; // it went meanwhile
    text += lineOf(key, kept);
    entries++;
    if (text.length < PORTION_CHARS) continue;
    yield { text, entries };
    [text, entries] = ["", 0];
  }
  yield { text, entries };
}

function* keysOf(dict: Snapshotted): Generator<string> {
  for (let cursor: number | undefined = 0; cursor !== undefined; ) {
    const scanned: ReturnType<Snapshotted["scan"]> = dict.scan({ cursor });
    yield* scanned.keys;
    cursor = scanned.cursor;
  }
}

/** Stores all entries that have time left. The file is read twice, so that nothing is stored of one that is damaged further on. */
export async function loadSnapshot(
  dict: Snapshotted,
  path: string,
): Promise<{ readonly loaded: number; readonly skipped: number }> {
  const file = await open(path); // a save may put another file in its place meanwhile
  try {
    for await (const _entry of linesOf(file, path)) {
      // Reading to the end is the check.
    }
    const counts = { loaded: 0, skipped: 0 };
    for await (const entry of linesOf(file, path)) counts[put(dict, entry) ? "loaded" : "skipped"]++;
    return counts;
  } finally {
    await file.close();
  }
}

/** False: its time has passed, or there is no room for it. */
function put(dict: Snapshotted, entry: SnapshotEntry): boolean {
  const { key, flags, ttlMs } = entry;
  if (ttlMs === undefined) return false;
  if (entry.kind === "value") return dict.safeSet(key, entry.value, { ttlMs, flags }).ok;
  dict.delete(key);
  const isWhole = entry.items.every((item) => dict.rpush(key, item).err === undefined);
  if (isWhole) return dict.expire(key, ttlMs).ok;
  dict.delete(key);
  return false;
}
