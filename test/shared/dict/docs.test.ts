import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import { describe, expect, expectTypeOf, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";

// Every line of code on the page that says what it answers is run, one after the other, on one dictionary.

const page = readFileSync(new URL("../../../docs/shared-dict.md", import.meta.url), "utf8");
const lines = [...page.matchAll(/^```js\n([\s\S]+?)```$/gm)].flatMap(([, code = ""]) => code.trim().split("\n"));
const { dict } = openDicts({ dict: "100k" }, { now: () => 1_000 }).dicts;
const context = createContext({ dict });

describe("docs/shared-dict.md", () => {
  test.each(lines)("%s", (line) => {
    const [, call = "", answer = ""] = /^(dict\..*); \/\/ (.+)$/.exec(line) ?? [];
    const told = runInContext(`JSON.stringify(${call})`, context);
    expect(told).toEqual(runInContext(`JSON.stringify(${answer})`, context));
  });

  test("names every call, and shows most of them", () => {
    const called = new Set([...lines.join("\n").matchAll(/dict\.(\w+)\(/g)].map(([, name]) => name));
    const named = new Set([...page.matchAll(/`(?:await )?(\w+)(?:\(.*?\))?`/g)].map(([, name]) => name));
    expect(CALLS.filter((name) => !named.has(name) && !called.has(name))).toEqual([]);
    expect(called.size).toBeGreaterThan(15);
    expectTypeOf<(typeof CALLS)[number]>().toEqualTypeOf<keyof SharedDict>();
  });
});

const CALLS = [
  "get",
  "getStale",
  "set",
  "safeSet",
  "add",
  "safeAdd",
  "replace",
  "delete",
  "deleteIf",
  "incr",
  "cas",
  "getset",
  "lpush",
  "rpush",
  "lpop",
  "rpop",
  "llen",
  "ttl",
  "expire",
  "flushAll",
  "flushExpired",
  "keys",
  "scan",
  "capacity",
  "freeSpace",
  "save",
  "load",
] as const;
