import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { loadGateway } from "../../src/worker/load-gateway.ts";
import { TempFolder } from "./temp-folder.ts";

const config = (phases: string, top = ""): string =>
  `import { otherwise, reject } from "restyconf";
   ${top}
   const routes = [otherwise(reject("x"))];
   export default { phases: { ${phases} }, servers: { edge: { listen: "127.0.0.1:0", routes } } };`;

/** So long may a step take; the first load has the bundler and ourselves to load, too. */
const STEP_MS = 2_000;

beforeAll(async () => {
  using folder = new TempFolder({ "c.mjs": config("") });
  await loadGateway(join(folder.path, "c.mjs"));
});

test.each([
  ["a module", config("", "await new Promise(() => {});"), "the configuration: not finished within 2000 ms"],
  ["init", config("init: () => new Promise(() => {})"), "init: not finished within 2000 ms"],
  ["check", config("check: () => new Promise(() => {})"), "check: not finished within 2000 ms"],
])("%s that waits for what never comes fails its load", async (_, text, fault) => {
  using folder = new TempFolder({ "c.mjs": text });
  await expect(loadGateway(join(folder.path, "c.mjs"), { stepMs: STEP_MS })).rejects.toThrow(fault);
});
