import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import type { WatchPlan } from "./links.ts";
import { errnoOf, pairOf } from "./pairs.ts";

const SETTLE_MS = 100; // writers touch a pair several times within milliseconds; one reading after the last is enough
const MAX_SETTLE_MS = 1_000; // but a directory that never rests must not put it off for ever
const MAX_DIRECTORIES = 256; // a watch each; kernels allow some thousand per user, and others need them too

interface Watched {
  readonly watcher: FSWatcher;
  /** Device and inode: a directory that was replaced has the same path and needs a new watch. */
  readonly identity: string;
  entries: ReadonlySet<string>;
}

/** What came of following a plan. */
interface Followed {
  /** Something was not watched before: what changed between plan and watch went unseen, so plan again. */
  readonly isNew: boolean;
  /** Directories that cannot be watched, with the reason. */
  readonly unwatched: readonly string[];
}

/** Tells when a directory of a plan changes: once per burst. Never keeps the process alive. */
export class FolderWatch {
  readonly #onChange: () => void;
  readonly #watched = new Map<string, Watched>();
  #settling: NodeJS.Timeout | undefined;
  #settleBy = 0;
  #closed = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Watches what the plan says from now on. */
  async follow(plan: WatchPlan): Promise<Followed> {
    for (const [directory, { watcher }] of this.#watched) {
      if (plan.has(directory)) continue;
      watcher.close();
      this.#watched.delete(directory);
    }
    let isNew = false;
    const unwatched: string[] = [];
    for (const [directory, entries] of plan) {
      const result = await this.#watch(directory, entries);
      if (result === "new") isNew = true;
      else if (result !== "known") unwatched.push(`${directory} (${result.failure})`);
    }
    return { isNew, unwatched };
  }

  /** True between a change and the call that tells of it. */
  get isSettling(): boolean {
    return this.#settling !== undefined;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#settling);
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  async #watch(
    directory: string,
    entries: ReadonlySet<string>,
  ): Promise<"known" | "new" | { readonly failure: string }> {
    const known = this.#watched.get(directory);
    try {
      const { dev, ino } = await stat(directory);
      const identity = `${dev}:${ino}`;
      if (this.#closed) return "known";
      if (known?.identity === identity) {
        const isSame = [...entries].every((entry) => known.entries.has(entry));
        known.entries = entries;
        return isSame ? "known" : "new";
      }
      known?.watcher.close();
      this.#watched.delete(directory);
      if (this.#watched.size >= MAX_DIRECTORIES) return { failure: `more than ${MAX_DIRECTORIES} directories` };
      this.#watched.set(directory, { watcher: this.#open(directory), identity, entries });
      return "new";
    } catch (cause) {
      // Gone since the plan was made: the directory above tells, and the next plan is without it.
      return errnoOf(cause) === "ENOENT" ? "known" : { failure: errnoOf(cause) };
    }
  }

  #open(directory: string): FSWatcher {
    const watcher = watch(directory, { persistent: false }, (_event, file) => {
      const entries = this.#watched.get(directory)?.entries;
      // Without a name nobody knows what changed; other files of a busy directory are none of our business.
      if (file === null || entries?.has(file) || pairOf(file) !== undefined) this.#settle();
    });
    watcher.on("error", () => {
      watcher.close();
      if (this.#watched.get(directory)?.watcher === watcher) this.#watched.delete(directory);
    });
    return watcher;
  }

  #settle(): void {
    if (this.#closed) return;
    const now = performance.now();
    if (this.#settling === undefined) this.#settleBy = now + MAX_SETTLE_MS;
    clearTimeout(this.#settling);
    this.#settling = setTimeout(
      () => {
        this.#settling = undefined;
        this.#onChange();
      },
      Math.min(SETTLE_MS, Math.max(0, this.#settleBy - now)),
    ).unref();
  }
}
