import { readFileSync } from "node:fs";

/** Fields of `/proc/<pid>/stat` behind the name of the program (proc(5)): state is the third of all, the start time the 22nd. */
const STATE_FIELD = 0;
const START_FIELD = 19;
/** Killed, but its parent has not asked for its status yet: it runs no more. */
const ENDED = ["Z", "X", "x"];

/** When a process began, in clock ticks since the machine did; undefined when it has ended. Its number alone may be another's by now. */
export function startOf(pid: number): number | undefined {
  const stat = statOf(pid);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ENDED.includes(fields[STATE_FIELD] ?? "") ? undefined : Number(fields[START_FIELD]);
}

function statOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (cause) {
    if (isGone(cause)) return undefined;
    throw cause;
  }
}

function isGone(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ESRCH");
}
