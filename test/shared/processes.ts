import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll } from "vitest";
import type { Dicts } from "../../src/shared/dict/open-dicts.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Processes that share dictionaries with this one, and run a file of this folder. */
export interface Processes {
  /** Starts one: `task` is what it finds in its last argument, as JSON. */
  start(task: unknown, dicts?: Dicts): ChildProcess;
}

/** Bundles what they run, before the tests of a file; ends whoever is left after them. */
export function processes(main: string): Processes {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-shared-"));
  const outfile = join(folder, "main.mjs");
  const started = new Set<ChildProcess>();
  beforeAll(async () => {
    symlinkSync(join(here, "../../node_modules"), join(folder, "node_modules"));
    const entryPoints = [join(here, main)];
    const target = "node20";
    await build({ entryPoints, outfile, bundle: true, platform: "node", target, format: "esm", packages: "external" });
  });
  afterAll(async () => {
    for (const child of started) child.kill("SIGKILL");
    await Promise.all([...started].map((child) => ended(child)));
    rmSync(folder, { recursive: true });
  });
  return {
    start(task, dicts) {
      const words = [JSON.stringify({ handles: dicts?.handles ?? {}, task })];
      const child = fork(outfile, words, { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] });
      started.add(child);
      return child;
    },
  };
}

/** How it ended: its exit code, or the signal that killed it. */
export async function ended(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode ?? child.signalCode;
}
