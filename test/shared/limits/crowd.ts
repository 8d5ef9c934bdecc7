import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll } from "vitest";
import { type Job, work } from "./jobs.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const MAIN = `import { ${work.name} } from "./jobs.ts";
await ${work.name}(JSON.parse(process.argv[2]));`;

/** Processes that use the same limiter. */
export interface Crowd {
  /** Lets so many processes do the same at the same time; answers how many each of them had let in. Those that hold go on living. */
  together(job: Job, processes: number): Promise<readonly number[]>;
  /** Kills all that live. */
  kill(): Promise<void>;
}

/** Bundles what they run, before the tests of a file; ends whoever is left after them. */
export function crowd(): Crowd {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-limits-"));
  const main = join(folder, "main.mjs");
  const living = new Set<ChildProcess>();
  beforeAll(async () => {
    symlinkSync(join(here, "../../../node_modules"), join(folder, "node_modules"));
    const stdin = { contents: MAIN, resolveDir: here, loader: "ts" as const };
    await build({ stdin, outfile: main, bundle: true, platform: "node", format: "esm", packages: "external" });
  });
  const kill = async (): Promise<void> => {
    const ends = [...living].map((child) => once(child, "exit"));
    for (const child of living) child.kill("SIGKILL");
    await Promise.all(ends);
  };
  afterAll(async () => {
    await kill();
    rmSync(folder, { recursive: true });
  });
  return {
    kill,
    async together(job, processes) {
      const hired = Array.from({ length: processes }, () => {
        const child = spawn(process.execPath, [main, JSON.stringify(job)], {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
        });
        living.add(child);
        child.once("exit", () => living.delete(child));
        return child;
      });
      await Promise.all(hired.map((child) => once(child, "message")));
      const results = hired.map((child) => once(child, "message"));
      for (const child of hired) child.send("go");
      return (await Promise.all(results)).map(([{ admitted }]) => Number(admitted));
    },
  };
}
