import { readFileSync } from "node:fs";

/** Share of the file descriptors that sessions may use; the rest is for files, Redis and outgoing sockets. */
const SESSION_SHARE = 0.9;
/** Client and peer. */
const FDS_PER_SESSION = 2;
/** What POSIX grants at least where the system does not tell. */
const FALLBACK_FDS = 1_024;

/** How many sessions fit into this process's limit of open files, and that limit. */
export function sessionLimit(): { readonly sessions: number; readonly openFiles: number } {
  const openFiles = openFileLimit();
  return { sessions: Math.floor((openFiles * SESSION_SHARE) / FDS_PER_SESSION), openFiles };
}

function openFileLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? FALLBACK_FDS : Number(soft);
  } catch {
    return FALLBACK_FDS; // not Linux
  }
}
