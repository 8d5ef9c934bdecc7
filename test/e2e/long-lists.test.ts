import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/programs.ts";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** Together far more than a pipe holds. */
const BANS = 3_000;

test("a list that is longer than a pipe holds comes whole, also to whoever reads it slowly", async () => {
  const bans = Array.from({ length: BANS }, (_, at) => [
    `ban:10.0.${at >> 8}.${at & 255}`,
    { reason: "x".repeat(100) },
  ]);
  const config = `import { content, defineGateway, otherwise } from "restyconf";
    export default defineGateway({ stateDir: "state", registry: "keys.json", workers: 1,
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async () => {}))] } } });`;
  const files = { "keys.json": JSON.stringify(Object.fromEntries(bans)) };
  await using gateway = await Gateway.start(config, { files });
  const slowly = `"$0" "$1" bans --config "$2" | (sleep 1; wc -l)`;
  const path = join(gateway.folder, "restyconf.config.ts");
  const { stdout } = await run("sh", ["-c", slowly, process.execPath, CLI, path]);
  expect(Number(stdout)).toBe(BANS);
});
