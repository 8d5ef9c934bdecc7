import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll } from "vitest";
import type { DictHandle } from "../../../src/shared/dict/open-dicts.ts";
import { type Job, work } from "./labours.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

/** What runs in another process: attaches to the dictionary that it is told, and works. */
const MAIN = `
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";
import { ${work.name} } from "./labours.ts";
const { handle, job } = JSON.parse(process.argv[2]);
${work.name}(attachDicts({ dict: handle }).dicts.dict, job);`;

/** Other processes that use a dictionary. */
export interface Workforce {
  hire(handle: DictHandle, job: Job): ChildProcess;
}

/** Bundles what they run, before the tests of a file; ends whoever is left after them. */
export function workforce(): Workforce {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-dict-"));
  const main = join(folder, "main.mjs");
  const hired = new Set<ChildProcess>();
  beforeAll(async () => {
    symlinkSync(join(here, "../../../node_modules"), join(folder, "node_modules"));
    const stdin = { contents: MAIN, resolveDir: here, loader: "ts" as const };
    await build({ stdin, outfile: main, bundle: true, platform: "node", format: "esm", packages: "external" });
  });
  afterAll(async () => {
    for (const worker of hired) worker.kill("SIGKILL");
    await Promise.all([...hired].map((worker) => ended(worker)));
    rmSync(folder, { recursive: true });
  });
  return {
    hire(handle, job) {
      const worker = spawn(process.execPath, [main, JSON.stringify({ handle, job })], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      hired.add(worker);
      return worker;
    },
  };
}

/** How it ended: its exit code, or the signal that killed it. */
export async function ended(worker: ChildProcess): Promise<number | string | null> {
  if (worker.exitCode === null && worker.signalCode === null) await once(worker, "exit");
  return worker.exitCode ?? worker.signalCode;
}
