import { open, rename, rm } from "node:fs/promises";
import process from "node:process";
import type { Kept } from "./peek.ts";
import type { SharedDict } from "./shared-dict.ts";
import { lineOf, linesOf, type SnapshotEntry, snapshotEnd, snapshotHead } from "./snapshot-lines.ts";

/** Only the gateway's user may read what clients said. */
const MODE = 0o600;

/** What a snapshot is made of and loaded into. */
interface Snapshotted extends Pick<SharedDict, "scan" | "safeSet" | "delete" | "rpush" | "expire"> {
  peek(key: string): Kept | undefined;
}

/** Writes all entries beside `path`, and then puts that file in its place. Each entry is as it was at one moment, not all at the same. */
export async function saveSnapshot(dict: Snapshotted, path: string): Promise<number> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const count = await writeTo(beside, dict);
    await rename(beside, path);
    return count;
  } finally {
    await rm(beside, { force: true });
  }
}

async function writeTo(path: string, dict: Snapshotted): Promise<number> {
  const file = await open(path, "w", MODE);
  try {
    let count = 0;
    await file.write(snapshotHead());
    for (const keys of portions(dict)) {
      const lines = keys.flatMap((key) => {
        const kept = dict.peek(key); // undefined: it went meanwhile
        return kept === undefined ? [] : [lineOf(key, kept)];
      });
      await file.write(lines.join(""));
      count += lines.length;
    }
    await file.write(snapshotEnd(count));
    await file.sync();
    return count;
  } finally {
    await file.close();
  }
}

function* portions(dict: Snapshotted): Generator<readonly string[]> {
  for (let cursor: number | undefined = 0; cursor !== undefined; ) {
    const scanned: ReturnType<Snapshotted["scan"]> = dict.scan({ cursor });
    yield scanned.keys;
    cursor = scanned.cursor;
  }
}

/** Stores all entries that have time left. The file is read twice, so that nothing is stored of one that is damaged further on. */
export async function loadSnapshot(
  dict: Snapshotted,
  path: string,
): Promise<{ readonly loaded: number; readonly skipped: number }> {
  for await (const _entry of linesOf(path)) {
    // Reading to the end is the check.
  }
  const counts = { loaded: 0, skipped: 0 };
  for await (const entry of linesOf(path)) counts[put(dict, entry) ? "loaded" : "skipped"]++;
  return counts;
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
