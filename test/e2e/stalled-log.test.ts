import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exchange } from "../support/client.ts";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

test("whoever reads standard error may stall: clients are served, and the gateway stops when told", async () => {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-stall-"));
  const config = join(folder, "restyconf.config.ts");
  writeFileSync(
    config,
    `import { content, defineGateway, otherwise, reject } from "restyconf";
     export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [
       otherwise(content(async (session) => { await session.write("served"); return reject("x".repeat(4_000)); }))] } } });`,
  );
  const child = spawn(process.execPath, [CLI, "start", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.pause(); // from the first line on
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const port = Number(/:(\d+) edge$/.exec(String(line))?.[1]);
  for (let session = 0; session < 300; session++) expect(await exchange(port, "x")).toBe("served");
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
  rmSync(folder, { recursive: true });
});
