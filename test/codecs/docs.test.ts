import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { Codec } from "../../src/codecs/codec.ts";
import { importFresh } from "../../src/worker/config/bundle.ts";
import { codecLaws } from "../laws/codec-laws.ts";
import { TempFolder } from "../worker/temp-folder.ts";

// The page's code is executed as it stands; behind each `// ` stands what the line gives, as Node prints it.

const page = readFileSync(new URL("../../docs/codecs.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
const modules = blocks.filter((code) => code.includes("import "));
const LINE = /^(?!const |let |import |export |\/)(\S.*); \/\/ (.+)$/gm;

/** The module with its lines as a list of functions, which are called in the order of the page. */
function listed(code: string): string {
  return `export const lines = [];\n${code.replace(LINE, "lines.push(() => ($1));")}`;
}

function printed(line: () => unknown): string {
  try {
    return inspect(line(), { breakLength: Number.POSITIVE_INFINITY, compact: true });
  } catch (cause) {
    return cause instanceof Error ? `throws ${cause.name}: ${cause.message}` : `throws ${String(cause)}`;
  }
}

describe("docs/codecs.md", () => {
  test.each(modules.map((code) => ({ code, first: code.split("\n").find((line) => line.includes("(")) })))(
    "what follows `$first` is true",
    async ({ code }) => {
      using folder = new TempFolder({ "block.ts": listed(code) });
      const { lines } = await importFresh(`${folder.path}/block.ts`);
      const said = [...code.matchAll(LINE)].map(([, , text = ""]) => text);
      expect(Array.isArray(lines) && lines.map(printed)).toEqual(said);
    },
  );

  test("shows a value in each section of a codec, and has a section for each", () => {
    const names = [...page.matchAll(/^\| \[`(\w+)\(\)`\]/gm)].map(([, name = ""]) => name);
    const index = readFileSync(new URL("../../src/codecs/index.ts", import.meta.url), "utf8");
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) {
      const section = page.split(`\n## ${name}\n`)[1]?.split("\n## ")[0] ?? "";
      expect(section, name).toMatch(/; \/\/ .*<Buffer|; \/\/ \{/);
      expect(index).toMatch(new RegExp(`\\b${name}\\b`));
    }
  });

  test("signatures apart, every block is executed", () => {
    const signatures = blocks.filter((code) => !code.includes("import "));
    expect(signatures.every((code) => code.trim().split("\n").length <= 2)).toBe(true);
  });
});

/** The codec that the page shows as one's own. */
async function shownCodec(): Promise<Codec<string>> {
  const code = modules.find((block) => block.includes("const netstring"));
  using folder = new TempFolder({ "own.ts": `${code}\nexport { netstring };` });
  const { netstring } = await importFresh(`${folder.path}/own.ts`);
  return netstring as Codec<string>;
}

codecLaws(
  await shownCodec(),
  [
    { name: "text", value: "hello" },
    { name: "nothing", value: "" },
    { name: "a long text", value: "é".repeat(400) },
  ],
  [Buffer.from("9999:"), Buffer.from("05:hello,"), Buffer.from("5:hello;"), Buffer.from(":")],
);
