import { readdirSync, readFileSync } from "node:fs";

/** Share of the file descriptors that may be in use at all; the rest is for what hooks open. */
const USABLE_SHARE = 0.9;
/** Client and peer. */
const FILES_PER_SESSION = 2;
/** What POSIX grants at least where the system does not tell. */
const FALLBACK_OPEN_FILES = 1_024;
/** What a process of ours has open before the first session, where the system does not tell. */
const FALLBACK_IN_USE = 32;

/** The carrier's pipes for streams: one per so many files, and no more than that; each has two ends. As in native/splice.c. */
const FILES_PER_PIPE = 64;
const MAX_PIPES = 64;

/** How many sessions fit into this process's limit of open files beside `ports` that are about to be opened, and that limit. */
export function sessionLimit(ports: number): { readonly sessions: number; readonly openFiles: number } {
  const openFiles = ask(openFileLimit, FALLBACK_OPEN_FILES);
  const reserved = ports + 2 * Math.min(MAX_PIPES, Math.floor(openFiles / FILES_PER_PIPE));
  const inUse = ask(() => readdirSync("/proc/self/fd").length, FALLBACK_IN_USE);
  return {
    sessions: Math.max(1, Math.floor((openFiles * USABLE_SHARE - inUse - reserved) / FILES_PER_SESSION)),
    openFiles,
  };
}

function openFileLimit(): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** Only Linux has `/proc`. */
function ask(question: () => number | undefined, fallback: number): number {
  try {
    return question() ?? fallback;
  } catch {
    return fallback;
  }
}
