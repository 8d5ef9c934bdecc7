import { linkSync, renameSync, rmSync } from "node:fs";
import process from "node:process";
import { getSystemErrorName } from "node:util";

/** A path, and the second name by which it is found again. */
type Kept = readonly [path: string, second: string];

/**
 * Closes unix sockets whose copies are others': whoever has opened one removes its path with it, so it is put back at once. `onLost`
 * is told of one that could not be: its socket stays, and no new client finds it. A path that has gone already is left alone.
 */
export function closeKeeping(paths: readonly string[], close: () => void, onLost: (cause: unknown) => void): void {
  const kept = paths.flatMap((path) => keep(path, onLost));
  close();
  for (const one of kept) putBack(one, onLost);
}

function keep(path: string, onLost: (cause: unknown) => void): readonly Kept[] {
  const second = `${path}.${process.pid}`;
  try {
    rmSync(second, { force: true }); // of a process that had this number, and did not come to its end
    linkSync(path, second);
    return [[path, second]];
  } catch (cause) {
    if (!isMissing(cause)) onLost(cause);
    return [];
  }
}

function putBack([path, second]: Kept, onLost: (cause: unknown) => void): void {
  try {
    renameSync(second, path);
    rmSync(second, { force: true }); // where nobody has removed the path both are one file, and stay
  } catch (cause) {
    onLost(cause);
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "errno" in cause && getSystemErrorName(Number(cause.errno)) === "ENOENT";
}
