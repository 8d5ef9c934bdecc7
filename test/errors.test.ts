import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { specs } from "../src/errors.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const docs = read("docs/errors.md");

test("docs/errors.md lists every code as it is, and no other", () => {
  const rows = docs.matchAll(/^\| `(RC_\w+)` \| (\w+) \| (\d+) \| `(\w+)` \| (yes|no) \| \S.* \| \S.* \|$/gm);
  const documented = Array.from(rows, ([, code, side, status, endCause, retry]) => [
    code,
    { side, status: Number(status), endCause, retry: retry === "yes" },
  ]);
  const real = Object.entries(specs).map(([code, { text: _, ...facts }]) => [code, facts]);
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(real));
  expect(documented).toHaveLength(real.length);
});

test("docs/errors.md lists every end cause, and no other", () => {
  const documented = Array.from(docs.matchAll(/^\| `([a-z_]+)` \| \S.* \|$/gm), ([, cause]) => cause);
  const union = /export type EndCause =([^;]*);/.exec(read("src/errors.ts"))?.[1] ?? "";
  const real = Array.from(union.matchAll(/"(\w+)"/g), ([, cause]) => cause);
  expect(documented.sort()).toEqual(real.sort());
});
