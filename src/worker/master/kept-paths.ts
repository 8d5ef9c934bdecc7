import { linkSync, renameSync, rmSync } from "node:fs";
import process from "node:process";

/**
 * Closes unix sockets whose copies are others': whoever has opened one removes its path with it, so it is put back at once. A path
 * that cannot be kept is lost: the socket stays, and no new client finds it. Throws the system's errors then, when all are closed.
 */
export function closeKeeping(paths: readonly string[], close: () => void): void {
  const kept: (readonly [path: string, second: string])[] = [];
  try {
    for (const path of paths) {
      const second = `${path}.${process.pid}`;
      linkSync(path, second);
      kept.push([path, second]);
    }
  } finally {
    close();
    for (const [path, second] of kept) {
      renameSync(second, path);
      rmSync(second, { force: true }); // where nobody has removed the path both are one file, and stay
    }
  }
}
