import { lstat, readdir, readlink } from "node:fs/promises";
import { join, parse, resolve, sep } from "node:path";
import { pairOf } from "./pairs.ts";

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
  if (real === undefined) return plan;
  if (!plan.has(real)) plan.set(real, new Set()); // its pairs count in any case
  const entries = await readdir(real, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (pairOf(entry.name) !== undefined && entry.isSymbolicLink()) await trace(join(real, entry.name), plan);
  }
  return plan;
}

/**
 * Follows a path link by link, and notes each directory that holds one of them, or the last, or the first that is not there
 * but may come. Returns the real path; undefined when it leads nowhere.
 */
async function trace(path: string, plan: Map<string, Set<string>>): Promise<string | undefined> {
  let real = parse(path).root;
  let ahead = partsOf(path);
  for (let links = 0; ahead.length > 0; ) {
    const [name = "", ...rest] = ahead;
    const place = await placeAt(join(real, name));
    if (place.kind !== "other" || rest.length === 0) note(plan, real, name);
    if (place.kind === "absent" || links > MAX_LINKS) return undefined;
    if (place.kind === "link") {
      links++;
      ahead = [...partsOf(resolve(real, place.target)), ...rest];
      real = parse(path).root;
    } else {
      real = join(real, name);
      ahead = rest;
    }
  }
  return real;
}

type Place = { readonly kind: "link"; readonly target: string } | { readonly kind: "absent" | "other" };

async function placeAt(path: string): Promise<Place> {
  try {
    return (await lstat(path)).isSymbolicLink() ? { kind: "link", target: await readlink(path) } : { kind: "other" };
  } catch {
    return { kind: "absent" };
  }
}

function note(plan: Map<string, Set<string>>, directory: string, entry: string): void {
  const entries = plan.get(directory) ?? new Set();
  plan.set(directory, entries.add(entry));
}

function partsOf(path: string): readonly string[] {
  return path.slice(parse(path).root.length).split(sep).filter(Boolean);
}
