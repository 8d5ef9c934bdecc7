import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { specs } from "../src/errors.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const docs = read("docs/errors.md");

/** End causes that no part of this version sets. */
const RESERVED = ["limited"];

const union = /export type EndCause =([^;]*);/.exec(read("src/errors.ts"))?.[1] ?? "";
const endCauses = Array.from(union.matchAll(/"(\w+)"/g), ([, cause = ""]) => cause);
const inUse = endCauses.filter((cause) => !RESERVED.includes(cause));

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

test("docs/errors.md lists every end cause and no other, and says which ones are reserved", () => {
  const rows = Array.from(docs.matchAll(/^\| `([a-z_]+)` \| (\S.*) \|$/gm), ([, cause = "", text = ""]) => ({
    cause,
    text,
  }));
  expect(rows.map(({ cause }) => cause).sort()).toEqual([...endCauses].sort());
  const reserved = rows.filter(({ text }) => text.startsWith("*reserved*"));
  expect(reserved.map(({ cause }) => cause).sort()).toEqual([...RESERVED].sort());
});

test("every end cause in use is reached by a story, and no reserved one is", () => {
  const stories = readdirSync(new URL("e2e/", import.meta.url)).map((file) => read(`test/e2e/${file}`));
  // A row of the table in end-causes.test.ts, or an expected access line.
  const told = stories.flatMap((text) => [...text.matchAll(/^ {2}\["(\w+)", \d{3}, |end_cause: "(\w+)"/gm)]);
  expect([...new Set(told.map(([, row, line]) => row ?? line ?? ""))].sort()).toEqual([...inUse].sort());
  for (const { endCause } of Object.values(specs)) expect(RESERVED).not.toContain(endCause);
});

test("README counts the end causes in use", () => {
  const [, count] = /one of (\d+) \[end causes\]/.exec(read("README.md")) ?? [];
  expect(Number(count)).toBe(inUse.length);
});
