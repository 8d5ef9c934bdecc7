import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { limitCount } from "../../../src/shared/limits/limit-count.ts";
import { limitReq } from "../../../src/shared/limits/limit-req.ts";
import { nodeBuckets } from "../../../src/stream/bucket.ts";
import { SharedBandwidth } from "../../../src/stream/limits/bandwidth.ts";
import { ConfigError } from "../../../src/worker/config/config-error.ts";
import { loadConfig } from "../../../src/worker/config/load-config.ts";
import { validate } from "../../../src/worker/config/validate.ts";
import everyKey from "../../fixtures/every-key.config.ts";
import { TempFolder } from "../../worker/temp-folder.ts";

const read = (name: string): string => readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8");
const page = read("limits");
const blocks = (kind: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]+?)^\`\`\`$`, "gm"))].map(([, code = ""]) => code);

describe("docs/limits.md", () => {
  const lines = blocks("js").flatMap((code) => code.trim().split("\n"));
  const { dict } = openDicts({ dict: "100k" }, { now: () => 1_000 }).dicts;
  const context = createContext({ dict, limitConn, limitCount });

  test.each(lines)("%s", (line) => {
    const [, name, call = "", answer = "undefined"] = /^(?:const (\w+) = )?(.*?);(?: \/\/ (.+))?$/.exec(line) ?? [];
    if (name !== undefined) runInContext(`const ${name} = ${call};`, context);
    const told = runInContext(`JSON.stringify(${name ?? call})`, context);
    if (line.includes("//")) expect(told).toEqual(runInContext(`JSON.stringify(${answer})`, context));
  });

  test("says how many keys there is room for", () => {
    const [, most = "", fewest = ""] =
      /10 MB are enough for some ([\d,]+) keys;.*? for some ([\d,]+)\./s.exec(page) ?? [];
    const count = (text: string): number => Number(text.replace(",", ""));
    const address = (at: number): string => `edge:kind:address:203.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
    const fits = (keys: number, use: (full: SharedDict) => (key: string) => unknown): boolean => {
      const { limits } = openDicts({ limits: "10m" }).dicts;
      if (!limits) return false;
      const used = use(limits);
      for (let at = 0; at < keys; at++) used(address(at));
      return limits.keys(0).length === keys;
    };
    const req = (full: SharedDict) => {
      const { incoming } = limitReq({ dict: full, rate: 0.001 });
      return (key: string) => incoming(key);
    };
    const bytes = (full: SharedDict) => {
      const bandwidth = new SharedBandwidth(full);
      return (key: string) => bandwidth.join(key, { up: 100_000, down: 100_000 }, nodeBuckets);
    };
    expect([fits(count(most), req), fits(count(fewest), bytes)]).toEqual([true, true]);
    expect([fits(count(most) * 1.1, req), fits(count(fewest) * 1.1, bytes)]).toEqual([false, false]);
  });

  test.each([...blocks("ts").map((text) => ["ts", text]), ...blocks("yaml").map((text) => ["yaml", text])])(
    "has a configuration in %s that is right",
    async (kind, text = "") => {
      using folder = new TempFolder({ [`c.${kind}`]: text });
      expect(Object.keys(validate(await loadConfig(`c.${kind}`, folder.path)).servers)).toEqual(["edge"]);
    },
  );

  test("says the same in code and in data", async () => {
    const [code = ""] = blocks("ts");
    const [data = ""] = blocks("yaml");
    using folder = new TempFolder({ "c.ts": code, "c.yaml": data });
    const [inCode, inData] = await Promise.all([
      loadConfig("c.ts", folder.path).then(validate),
      loadConfig("c.yaml", folder.path).then(validate),
    ]);
    expect(JSON.stringify(inData)).toBe(JSON.stringify(inCode));
  });
});

describe("docs/config.md", () => {
  const [, section = ""] = /^### Limits\n(.*?)^### /ms.exec(read("config")) ?? [];
  const common = ["per", "name", "dryRun"];
  const gates = [...common, "status", "cluster"];

  /** The keys that validation knows of a limit: it lists them when it meets another one. */
  const knownKeys = (limit: object): readonly string[] => {
    const { edge } = everyKey.servers;
    const limits = [{ ...limit, zzzzzzzzzz: 1 }];
    try {
      validate({
        config: { ...everyKey, servers: { ...everyKey.servers, edge: { ...edge, limits } } },
        path: "/c.ts",
        baseDir: "/",
      });
      return [];
    } catch (cause) {
      const text = cause instanceof ConfigError ? cause.message : "";
      return (/unknown key, expected one of (.*)$/.exec(text)?.[1] ?? "").split(", ").sort();
    }
  };

  test.each(everyKey.servers["edge"]?.limits ?? [])("lists all keys of the limit %j", (limit) => {
    const rows = [...section.matchAll(/^\| `(\w+): [^|]* \| ([^|]*) \|/gm)];
    const [, kind = "", besides = ""] = rows.find(([, key = ""]) => key in limit) ?? [];
    const named = [...besides.matchAll(/`(\w+)`/g)].map(([, key = ""]) => key);
    const all = [kind, ...named, ...(kind === "bytesPerSecond" ? common : gates)];
    expect(all.sort()).toEqual(knownKeys(limit));
  });

  test("explains the keys that all limits have", () => {
    expect([...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, key = ""]) => key).sort()).toEqual([...gates].sort());
  });
});
