import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/worker/config/config-error.ts";
import { createLog } from "../../src/worker/log.ts";
import { run } from "../support/programs.ts";
import { TempFolder } from "./temp-folder.ts";

/** What a log of this configuration writes to standard error while `body` runs, in a process of its own. */
async function stderrOf(config: string, body: string, baseDir = "."): Promise<readonly string[]> {
  const module = new URL("../../dist/worker/log.js", import.meta.url).href;
  const script = `import { createLog } from "${module}"; const log = createLog(${config}, { baseDir: ${JSON.stringify(baseDir)} }); ${body}; log.flush();`;
  const { stderr } = await run(process.execPath, ["--input-type=module", "-e", script]);
  return stderr.split("\n").filter((line) => line !== "");
}

describe("an event", () => {
  test("is a line of JSON with level, time, fields and message", async () => {
    const [line = ""] = await stderrOf("{}", `log.warn("no room", { address: "a:1", count: 3 })`);
    const said: unknown = JSON.parse(line);
    expect(said).toEqual({ level: "warn", time: expect.any(String), msg: "no room", address: "a:1", count: 3 });
    expect(said).toHaveProperty("time", expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/));
  });

  test.each([
    ["debug", ["debug", "info", "warn", "error"]],
    ["info", ["info", "warn", "error"]],
    ["warn", ["warn", "error"]],
    ["error", ["error"]],
  ])("below the level %s is left out", async (level, kept) => {
    const lines = await stderrOf(
      `{ level: "${level}" }`,
      `for (const l of ["debug", "info", "warn", "error"]) log[l](l)`,
    );
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(kept);
  });

  test("shows errors with their stack, and secrets not", async () => {
    const [line = ""] = await stderrOf(
      "{}",
      `log.error("x", { err: new Error("boom"), password: "hush", user: { token: "hush" } })`,
    );
    expect(JSON.parse(line)).toMatchObject({ err: { message: "boom", stack: expect.stringContaining("Error: boom") } });
    expect(line).not.toContain("hush");
  });
});

describe("access lines", () => {
  const body = `log.info("before"); log.access(() => '{"a":1}'); log.info("after")`;

  test("go to standard error as they are, in order with events", async () => {
    const lines = await stderrOf("undefined", body);
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["before", undefined, "after"]);
    expect(lines[1]).toBe('{"a":1}');
  });

  test("go nowhere when they are turned off", async () => {
    expect(await stderrOf("{ access: false }", body)).toHaveLength(2);
  });

  test("go to a file, whose path starts at the configuration's folder", async () => {
    using folder = new TempFolder({ "logs/x": "" });
    expect(await stderrOf(`{ access: "logs/access.log" }`, body, folder.path)).toHaveLength(2);
    expect(readFileSync(join(folder.path, "logs/access.log"), "utf8")).toBe('{"a":1}\n');
  });

  test("in a file that cannot be opened are a fault of the configuration", () => {
    using folder = new TempFolder();
    const open = (): unknown => createLog({ access: "no/access.log" }, { baseDir: folder.path });
    expect(open).toThrow(ConfigError);
    expect(open).toThrow(/^log\.access: ENOENT/);
  });

  test("go on in the old file when it cannot be reopened, which is logged", async () => {
    using folder = new TempFolder({ "logs/x": "" });
    const lines = await stderrOf(
      `{ access: "logs/access.log" }`,
      `const fs = await import("node:fs"); const at = ${JSON.stringify(folder.path)};
       fs.renameSync(at + "/logs", at + "/moved"); log.reopen(); log.access(() => "kept")`,
      folder.path,
    );
    expect(lines).toEqual([expect.stringContaining("cannot reopen the access log")]);
    expect(readFileSync(join(folder.path, "moved/access.log"), "utf8")).toBe("kept\n");
  });
});
