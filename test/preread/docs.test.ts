import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { snifferLaws } from "../laws/sniffer-laws.ts";
import { game } from "./own-sniffer.ts";

const PAGES = new URL("../../docs/sniffers/", import.meta.url);
const SECTIONS = [
  "Who speaks first",
  "Bytes looked at",
  "Verdict rules",
  "Info",
  "False-match odds",
  "Refusal",
  "Example",
];

const page = (name: string): string => readFileSync(new URL(name, PAGES), "utf8");
const source = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

/** The sniffers as the barrel exports them, `lengthPrefixed` as `length-prefixed`; and the two routes without sniffer. */
const names = readdirSync(new URL("../../src/preread/", import.meta.url))
  .filter((file) => / Sniffer<(?:"\w+"|string), /.test(source(`../../src/preread/${file}`)))
  .map((file) => file.replace(".ts", ""))
  .concat("silent", "otherwise");

describe("docs/sniffers", () => {
  test.each(names)("has a page on %s that answers all questions, and a link to it", (name) => {
    const text = page(`${name}.md`);
    for (const section of SECTIONS) expect(text).toContain(section);
    expect(page("README.md")).toContain(`](${name}.md)`);
  });

  test("shows a sniffer of one's own as it is tested here", () => {
    const shown = /```ts\n(import \{ match.*?)```/s.exec(page("README.md"))?.[1];
    expect(shown?.replace("restyconf/preread", "../../src/preread/index.ts")).toBe(source("own-sniffer.ts"));
  });
});

snifferLaws(game(), [
  {
    name: "a player and what he says next",
    bytes: Buffer.from("GAME\x02\x05lobbyhello"),
    verdict: "match",
    info: { version: 2, room: "lobby" },
  },
  { name: "half a room", bytes: Buffer.from("GAME\x02\x05lo"), verdict: "more" },
  { name: "no version", bytes: Buffer.from("GAME\0"), verdict: "mismatch" },
  { name: "no room", bytes: Buffer.from("GAME\x01\0"), verdict: "mismatch" },
]);
