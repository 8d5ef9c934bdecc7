import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes the number of this process, the one that hears signals, for service managers and scripts; it is gone when the process is. */
export function keepPidFile(folder: string): void {
  const path = join(folder, "restyconf.pid");
  const own = `${process.pid}\n`;
  writeFileSync(path, own);
  process.on("exit", () => {
    if (textOf(path) === own) rmSync(path, { force: true });
  });
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // somebody has taken it away
  }
}
