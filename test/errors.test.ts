import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { specs } from "../src/errors.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const docs = read("docs/errors.md");

const union = /export type EndCause =([^;]*);/.exec(read("src/errors.ts"))?.[1] ?? "";
const endCauses = Array.from(union.matchAll(/"(\w+)"/g), ([, cause = ""]) => cause);

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

test("docs/errors.md lists every end cause and no other", () => {
  const rows = Array.from(docs.matchAll(/^\| `([a-z_]+)` \| \S.* \|$/gm), ([, cause = ""]) => cause);
  expect(rows.sort()).toEqual([...endCauses].sort());
});

test("every end cause is reached by a story", () => {
  const stories = readdirSync(new URL("e2e/", import.meta.url)).map((file) => read(`test/e2e/${file}`));
  // A row of the table in end-causes.test.ts, or an expected access line.
  const told = stories.flatMap((text) => [...text.matchAll(/^ {2}\["(\w+)", \d{3}, |end_cause: "(\w+)"/gm)]);
  expect([...new Set(told.map(([, row, line]) => row ?? line ?? ""))].sort()).toEqual([...endCauses].sort());
});

test("README counts the end causes", () => {
  const [, count] = /one of (\d+) \[end causes\]/.exec(read("README.md")) ?? [];
  expect(Number(count)).toBe(endCauses.length);
});
