import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Open file descriptors of a process. */
export function openFiles(pid: number | undefined): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Those of one kind: `socket:`, `pipe:`, `anon_inode:`, or the path of a file. */
export function openFilesOf(pid: number | undefined, kind: string): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => linkOf(`${folder}/${name}`)?.startsWith(kind)).length;
}

/** Undefined: closed meanwhile. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** CPU time that a process has used so far, user and system, in milliseconds. */
export function cpuMs(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks * 10; // clock ticks are 10 ms on Linux
}
