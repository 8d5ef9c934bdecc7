import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { START_KEYS, startValuesOf } from "../../src/worker/start-keys.ts";
import everyKey from "../fixtures/every-key.config.ts";

test.each(["reload", "config"])(
  "docs/%s.md lists the keys that count at the start alone, all of them and no other",
  (name) => {
    const page = readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), "utf8");
    const [, list = ""] =
      /^(?:\* )?((?:`\w+`(?:, | and ))+`\w+`) (?:are those of|count at) the start/m.exec(page) ?? [];
    expect([...list.matchAll(/\w+(?=`)/g)].map(([key]) => key)).toEqual([...START_KEYS]);
  },
);

test("what is taken from the start is those keys, and no other", () => {
  const keys = Object.keys(startValuesOf(everyKey));
  for (const key of keys) expect(START_KEYS).toContain(key);
  expect(new Set(keys)).toEqual(
    new Set(Object.keys(everyKey).filter((key) => (START_KEYS as readonly string[]).includes(key))),
  );
});
