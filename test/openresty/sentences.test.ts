import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sentences } from "./sentences.ts";

// That each sentence has its proof: a test of that title, or a page that says how ours differs.

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** A title as it stands in a file, whichever quotes it has there. */
function stands(title: string, text: string): boolean {
  return [title, title.replaceAll("'", "\\'"), title.replaceAll('"', '\\"')].some((form) => text.includes(form));
}

describe.each([...new Set(sentences.map(({ section }) => section))])("§%s", (section) => {
  test.each(sentences.filter((sentence) => sentence.section === section))("$says", ({ file, title }) => {
    expect(stands(title, read(file)), `${file}: ${title}`).toBe(true);
  });
});
