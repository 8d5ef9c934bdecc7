import { lstat, readdir, readlink } from "node:fs/promises";
import { dirname, join, parse, resolve, sep } from "node:path";
import { pairOf } from "./folder-pairs.ts";

const MAX_LINKS = 40; // as many as Linux follows in one path before it says ELOOP

/** Directories to watch, and the entries in each whose change can alter a certificate. */
export type WatchPlan = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Where changes to a folder of certificates show: in the folder, and in every directory that a symlink on the way leads
 * through. Kubernetes mounts secrets as `a.crt → ..data/a.crt`, `..data → ..2026_11_22…`, and an update swaps `..data`.
 */
export async function watchPlan(folder: string): Promise<WatchPlan> {
  const plan = new Map<string, Set<string>>();
  const real = await trace(resolve(folder), plan);
  const entries = await readdir(real, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (pairOf(entry.name) !== undefined && entry.isSymbolicLink()) await trace(join(real, entry.name), plan);
  }
  if (!plan.has(real)) plan.set(real, new Set()); // its pairs count in any case
  return plan;
}

/** Follows a path link by link, notes each directory that holds one of them, and the last; returns the real path. */
async function trace(path: string, plan: Map<string, Set<string>>): Promise<string> {
  const { root } = parse(path);
  let real = root;
  let ahead = partsOf(path);
  for (let links = 0; ahead.length > 0; ) {
    const [name = "", ...rest] = ahead;
    const place = join(real, name);
    const target = links < MAX_LINKS ? await targetOf(place) : undefined;
    if (target !== undefined || rest.length === 0) note(plan, real, name);
    if (target === undefined) {
      real = place;
      ahead = rest;
    } else {
      links++;
      real = root;
      ahead = [...partsOf(resolve(dirname(place), target)), ...rest];
    }
  }
  return real;
}

/** What a symlink points to; undefined for anything else, also for what is not there. */
async function targetOf(place: string): Promise<string | undefined> {
  try {
    return (await lstat(place)).isSymbolicLink() ? await readlink(place) : undefined;
  } catch {
    return undefined;
  }
}

function note(plan: Map<string, Set<string>>, directory: string, entry: string): void {
  const entries = plan.get(directory) ?? new Set();
  plan.set(directory, entries.add(entry));
}

function partsOf(path: string): readonly string[] {
  return path.slice(parse(path).root.length).split(sep).filter(Boolean);
}
