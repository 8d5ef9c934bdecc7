import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { loadGateway } from "../../src/worker/load-gateway.ts";
import { TempFolder } from "./temp-folder.ts";

const config = (phases: string, top = ""): string =>
  `import { otherwise, reject } from "restyconf";
   ${top}
   const routes = [otherwise(reject("x"))];
   export default { phases: { ${phases} }, servers: { edge: { listen: "127.0.0.1:0", routes } } };`;

/** So long may a step take: many times what all of them take here. The first load has the bundler and ourselves to load, too. */
let stepMs = 2_000;

beforeAll(async () => {
  for (let load = 0; load < 2; load++) {
    using folder = new TempFolder({ "c.mjs": config("") });
    const began = performance.now();
    await loadGateway(join(folder.path, "c.mjs"));
    stepMs = 2_000 + Math.round(10 * (performance.now() - began));
  }
}, 120_000);

test.each([
  ["a module", config("", "await new Promise(() => {});"), "the configuration"],
  ["init", config("init: () => new Promise(() => {})"), "init"],
  ["check", config("check: () => new Promise(() => {})"), "check"],
])("%s that waits for what never comes fails its load", async (_, text, fault) => {
  using folder = new TempFolder({ "c.mjs": text });
  await expect(loadGateway(join(folder.path, "c.mjs"), { stepMs })).rejects.toThrow(
    `${fault}: not finished within ${stepMs} ms`,
  );
});
