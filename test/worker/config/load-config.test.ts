import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { ConfigError, UsageError } from "../../../src/worker/config/config-error.ts";
import { loadConfig } from "../../../src/worker/config/load-config.ts";
import { TempFolder } from "../temp-folder.ts";

async function faults(folder: TempFolder, name: string): Promise<readonly string[]> {
  const cause = await loadConfig(name, folder.path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(cause).toBeInstanceOf(ConfigError);
  return cause instanceof ConfigError ? cause.lines : [];
}

describe("finding the file", () => {
  test("takes the first default name in the working directory", async () => {
    using folder = new TempFolder({ "restyconf.config.json": `{"json":1}`, "restyconf.config.yaml": "yaml: 1" });
    const loaded = await loadConfig(undefined, folder.path);
    expect(loaded).toMatchObject({ config: { json: 1 }, path: join(folder.path, "restyconf.config.json") });
    expect(loaded.baseDir).toBe(folder.path);
  });

  test.each(["ts", "mts", "js", "mjs"])("finds restyconf.config.%s", async (ending) => {
    using folder = new TempFolder({ [`restyconf.config.${ending}`]: "export default { here: true };" });
    expect((await loadConfig(undefined, folder.path)).config).toEqual({ here: true });
  });

  test.each(["yaml", "yml"])("finds restyconf.config.%s", async (ending) => {
    using folder = new TempFolder({ [`restyconf.config.${ending}`]: "here: true" });
    expect((await loadConfig(undefined, folder.path)).config).toEqual({ here: true });
  });

  test.each([
    ["none of the default names", undefined, "has none of restyconf.config.ts"],
    ["no such file", "nope.ts", "nope.ts: no such file"],
    ["an unknown ending", "config.toml", "expected .ts, .mts, .js, .mjs, .json, .yaml or .yml"],
    ["a folder", "folder.json", "EISDIR"],
  ])("%s is wrong usage", async (_, name, text) => {
    using folder = new TempFolder({ "config.toml": "", "folder.json/x": "" });
    const loading = loadConfig(name, folder.path);
    await expect(loading).rejects.toBeInstanceOf(UsageError);
    await expect(loading).rejects.toThrow(text);
  });
});

describe("a configuration in code", () => {
  test("may import local files, packages, JSON and restyconf itself", async () => {
    using folder = new TempFolder({
      "config.ts": `import { where } from "only-esm";
        import { reject } from "restyconf";
        import { ssh } from "restyconf/preread";
        import { line } from "restyconf/codecs";
        import data from "./data.json" with { type: "json" };
        import { Colour } from "./parts/colour.js";
        export default { where, action: reject("no"), sniffer: ssh().name, codec: line().name, data, red: Colour.Red };`,
      "parts/colour.ts": "export enum Colour { Red = 7 }",
      "data.json": `{"n": 1}`,
      "node_modules/only-esm/package.json": `{"name":"only-esm","type":"module","exports":{"import":"./i.js"}}`,
      "node_modules/only-esm/i.js": "export const where = import.meta.url;",
    });
    const { config } = await loadConfig("config.ts", folder.path);
    expect(config).toMatchObject({ sniffer: "ssh", codec: "line", data: { n: 1 }, red: 7, action: { kind: "reject" } });
    expect(config).toMatchObject({ where: pathToFileURL(join(folder.path, "node_modules/only-esm/i.js")).href });
  });

  test("leaves what is imported by an absolute file URL outside, shared with everybody else", async () => {
    using folder = new TempFolder({ "shared.mjs": "export const box = {};" });
    const url = pathToFileURL(join(folder.path, "shared.mjs")).href;
    folder.write("config.ts", `import { box } from "${url}"; export default box;`);
    const { config } = await loadConfig("config.ts", folder.path);
    expect(config).toBe((await loadConfig("config.ts", folder.path)).config);
  });

  test("knows its own place, in every file of it", async () => {
    const place = "[import.meta.url, import.meta.filename, import.meta.dirname]";
    using folder = new TempFolder({
      "config.ts": `import { sub } from "./sub/place.mjs"; export default { own: ${place}, sub };`,
      "sub/place.mjs": `export const sub = ${place}; // no line end`,
    });
    const placeOf = (name: string) => {
      const path = join(folder.path, name);
      return [pathToFileURL(path).href, path, join(path, "..")];
    };
    const { config } = await loadConfig("config.ts", folder.path);
    expect(config).toEqual({ own: placeOf("config.ts"), sub: placeOf("sub/place.mjs") });
  });

  test("may await at its top level", async () => {
    using folder = new TempFolder({ "config.mjs": "export default await Promise.resolve({ late: true });" });
    expect((await loadConfig("config.mjs", folder.path)).config).toEqual({ late: true });
  });

  test("is loaded as it is now, local imports too, and leaves no file behind", async () => {
    using folder = new TempFolder({
      "config.ts": `import { n } from "./n.ts"; export default n;`,
      "n.ts": "export const n = 1;",
    });
    const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("restyconf-module-"));
    const before = left();
    expect((await loadConfig("config.ts", folder.path)).config).toBe(1);
    folder.write("n.ts", "export const n = 2;");
    expect((await loadConfig("config.ts", folder.path)).config).toBe(2);
    expect(left().filter((name) => !before.includes(name))).toEqual([]);
  });

  test.each([
    ["a syntax error", "export default {\n  a: ,\n};", "config.ts:2:6: Unexpected"],
    [
      "a package that is not there",
      `\nimport x from "not-there";\nexport default x;`,
      "config.ts:2:15: Could not resolve",
    ],
    ["a file that is not there", `import x from "./gone.ts";\nexport default x;`, "config.ts:1:15: Could not resolve"],
    [
      "an exception",
      "const x: any = {};\n\nexport default x.y.z;",
      "config.ts:3:20: TypeError: Cannot read properties",
    ],
    ["an exception in an imported file", `import { f } from "./f.ts";\nexport default f();`, "f.ts:2:9: Error: from f"],
    ["a thrown text", `throw "no way";`, "config.ts: no way"],
    ["no default export", "export const config = {};", "config.ts: expected a default export"],
  ])("with %s names the place", async (_, text, fault) => {
    using folder = new TempFolder({
      "config.ts": text,
      "f.ts": `export function f(): void {\n  throw new Error("from f");\n}`,
    });
    const [line, ...more] = await faults(folder, "config.ts");
    expect(line).toContain(join(folder.path, fault));
    expect(more).toEqual([]);
  });
});

describe("a configuration in data", () => {
  test("loads the hooks that it names, once each", async () => {
    using folder = new TempFolder({
      "config.yaml": "phases: ./hooks.ts\nservers: { a: { phases: ./hooks.ts }, b: { phases: ./gone.ts }, c: 5 }",
      "hooks.ts": "export function log() {}",
    });
    const { data } = await loadConfig("config.yaml", folder.path);
    expect([...(data?.modules.keys() ?? [])]).toEqual(["./hooks.ts", "./gone.ts"]);
    expect(data?.modules.get("./hooks.ts")).toHaveProperty("log");
    expect(data?.modules.get("./gone.ts")).toBeInstanceOf(ConfigError);
  });

  test.each([
    ["a comma too many", `{"redis": "redis://:secret@h",\n "a": 1,}`, "2:8: JSON does not support trailing commas"],
    ["a comment", "// x\n{}", "1:1: JSON does not support comments"],
    ["a missing value", `{"password": "secret", "b": }`, "1:29: Unexpected"],
    ["the same key twice", `{\n\t"a": 1,\n\t"a": 2\n}`, "3:2: Map keys must be unique"],
    ["nothing", "", "1:1: Unexpected end of file"],
    ["too many levels", `${"[".repeat(30_000)}${"]".repeat(30_000)}`, "nested too deeply"],
  ])("in JSON with %s names the place, and shows nothing of the text", async (_, text, fault) => {
    using folder = new TempFolder({ "config.json": text });
    const lines = await faults(folder, "config.json");
    expect(lines.join("\n")).toContain(fault);
    expect(lines.join("\n")).not.toContain("secret");
  });

  test.each([
    ["a value too many", `redis: "redis://:secret@h" x`, "1:28: Unexpected scalar"],
    ["the same key twice", "a: 1\na: 2", "2:1: Map keys must be unique"],
    ["two documents", "a: 1\n---\na: 2", "2:1: Source contains multiple documents"],
    ["an unknown tag", "password: !vault secret", "1:11: Unresolved tag: !vault"],
    ["an alias of nothing", "a: *b", "Unresolved alias"],
    ["an alias bomb", bomb(), "Excessive alias count"],
    ["too many levels", "- ".repeat(10_000), "nested too deeply"],
    ["too much indentation", `${" ".repeat(500)}a: 1`, "nested too deeply"],
  ])("in YAML with %s names the place, and shows nothing of the text", async (_, text, fault) => {
    using folder = new TempFolder({ "config.yaml": text });
    const lines = await faults(folder, "config.yaml");
    expect(lines.join("\n")).toContain(fault);
    expect(lines.join("\n")).not.toContain("secret");
  });

  test("that is larger than any configuration is refused unread", async () => {
    using folder = new TempFolder({ "config.yaml": `a: ${"x".repeat(1024 * 1024)}` });
    expect(await faults(folder, "config.yaml")).toEqual([expect.stringContaining("larger than 1048576 bytes")]);
  });

  test("may begin with a byte order mark", async () => {
    using folder = new TempFolder({ "config.json": `\uFEFF{"a": 1}` });
    expect((await loadConfig("config.json", folder.path)).config).toEqual({ a: 1 });
  });
});

function bomb(): string {
  const levels = Array.from({ length: 5 }, (_, level) => {
    const items = level === 0 ? "x".repeat(10).split("") : Array<string>(10).fill(`*a${level - 1}`);
    return `a${level}: &a${level} [${items.join(", ")}]`;
  });
  return levels.join("\n");
}
