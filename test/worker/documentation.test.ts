import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/worker/config/config-error.ts";
import { loadConfig } from "../../src/worker/config/load-config.ts";
import { validate } from "../../src/worker/config/validate.ts";
import everyKey from "../fixtures/every-key.config.ts";
import { TempFolder } from "./temp-folder.ts";

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), "utf8");
const source = (path: string): string => readFileSync(new URL(`../../src/${path}`, import.meta.url), "utf8");
const namesIn = (text: string, pattern: RegExp): (string | undefined)[] =>
  [...text.matchAll(pattern)].map(([, name]) => name);
const NOBODY_KNOWS = "zzzzzzzzzzzz";

/** The objects of a configuration by path, with the names of servers and upstreams as `<name>`. */
const objects = {
  Gateway: [],
  redis: ["redis"],
  "redis.tls": ["redis", "tls"],
  log: ["log"],
  phases: ["phases"],
  admin: ["admin"],
  "upstreams.<name>": ["upstreams", "broker"],
  "upstreams.<name>.peers[]": ["upstreams", "broker", "peers", 1],
  "upstreams.<name>.ssl": ["upstreams", "broker", "ssl"],
  "servers.<name>": ["servers", "edge"],
  "servers.<name>.preread": ["servers", "edge", "preread"],
  "servers.<name>.proxyProtocol": ["servers", "edge", "proxyProtocol"],
  "servers.<name>.ssl": ["servers", "edge", "ssl"],
  "servers.<name>.phases": ["servers", "edge", "phases"],
  "servers.<name>.phaseTimeoutMs": ["servers", "edge", "phaseTimeoutMs"],
} as const;

/** The same configuration with an unknown key in the object at that path. */
function withUnknownKey(value: unknown, path: readonly (string | number)[]): unknown {
  if (typeof value !== "object" || value === null) return value;
  const [key, ...rest] = path;
  if (key === undefined) return { ...value, [NOBODY_KNOWS]: 1 };
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? withUnknownKey(item, rest) : item));
  return { ...value, [key]: withUnknownKey(Reflect.get(value, key), rest) };
}

/** The keys that validation knows there: it lists them when it meets another one. */
function knownKeys(path: readonly (string | number)[]): readonly string[] {
  try {
    validate({ config: withUnknownKey(everyKey, path), path: "/c.ts", baseDir: "/" });
  } catch (cause) {
    const [, list = ""] =
      /unknown key, expected one of (.*)$/.exec(cause instanceof ConfigError ? cause.message : "") ?? [];
    return list.split(", ").sort();
  }
  return [];
}

describe("docs/config.md", () => {
  const config = page("config");

  test.each(Object.entries(objects))("lists the keys of %s, all of them and no other", (title, path) => {
    const sections = config.split(/^#+ /m);
    const section = sections.find((text) => text.split("\n")[0]?.replaceAll("`", "") === title) ?? "";
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)];
    const elsewhere = title === "phases" ? knownKeys(objects["servers.<name>.phases"]) : [];
    expect(rows.map(([, key]) => key).sort()).toEqual(knownKeys(path).filter((key) => !elsewhere.includes(key)));
    for (const [, key, cells = ""] of rows) expect(cells.split(" | "), key).toHaveLength(3);
  });

  test.each([...config.matchAll(/^```(ts|yaml)\n([\s\S]*?)^```$/gm)].map(([, kind, text]) => [kind, text]))(
    "has an example in %s that is right",
    async (kind, text = "") => {
      using folder = new TempFolder({ [`c.${kind}`]: text });
      expect(Object.keys(validate(await loadConfig(`c.${kind}`, folder.path)).servers)).toEqual(["edge"]);
    },
  );

  test("shows for each line of code what data says, and both are right", async () => {
    const rows = [...config.matchAll(/^\| `((?:on|silent|otherwise)\(.*)` \| `(\{.*\})` \|$/gm)];
    expect(rows.length).toBeGreaterThan(4);
    const upstreams = `{ broker: { peers: ["h:1"] }, game: { peers: ["h:2"] } }`;
    for (const [, code, data] of rows) {
      using folder = new TempFolder({
        "code.ts": `import { dispatch, on, otherwise, proxy, reject, silent } from "restyconf"; import { http, mqtt } from "restyconf/preread";
          const inner = { listen: [], routes: [otherwise(reject("no"))] };
          export default { upstreams: ${upstreams}, servers: { edge: { listen: "h:1", routes: [${code}] }, inner } };`,
        "data.yaml": `upstreams: ${upstreams}\nservers: { edge: { listen: "h:1", routes: [${data}] }, inner: { listen: [], routes: [{ otherwise: true, reject: "no" }] } }`,
      });
      const [inCode, inData] = await Promise.all([
        loadConfig("code.ts", folder.path).then(validate),
        loadConfig("data.yaml", folder.path).then(validate),
      ]);
      expect(JSON.stringify(inData), code).toBe(JSON.stringify(inCode));
    }
  });
});

test.each([
  ["upstreams", 2],
  ["tls", 1],
  ["proxy-protocol", 1],
])("docs/%s.md leaves syntax and defaults to docs/config.md", (name, atLeast) => {
  expect(page(name)).not.toMatch(/^\| (?:key|option) \|.* default \|/m);
  expect([...page(name).matchAll(/\]\(config\.md#/g)].length).toBeGreaterThanOrEqual(atLeast);
});

test.each(
  [...page("upstreams").matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text = ""], place) => [place + 1, text]),
)("docs/upstreams.md has a right example, number %i", async (_, text) => {
  const names = "defineGateway, otherwise, proxy, registry";
  const whole = text.startsWith("import ") ? text : `import { ${names} } from "restyconf";\n${text}`;
  using folder = new TempFolder({ "c.ts": whole });
  expect(Object.keys(validate(await loadConfig("c.ts", folder.path)).servers)).toEqual(["edge"]);
});

test("docs/phases.md lists what a worker has", () => {
  const [, fields = ""] = /interface WorkerContext [^{]*\{(.*?)\n\}/s.exec(source("stream/worker-context.ts")) ?? [];
  const [, section = ""] = /## What a worker is\n(.*?)\n## /s.exec(page("phases")) ?? [];
  expect(namesIn(section, /^\| `(\w+)` \|/gm)).toEqual(namesIn(fields, /readonly (\w+):/g));
});

test("docs/architecture.md shows the folders of src, all of them and no other", () => {
  const src = new URL("../../src/", import.meta.url);
  const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const [, tree = ""] = /```\nsrc\/\n(.*?)```/s.exec(page("architecture")) ?? [];
  expect(namesIn(tree, / {2}(\w+)\/ /g).sort()).toEqual(folders.map(({ name }) => name).sort());
});
