import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../support/programs.ts";
import { EXAMPLES, Story } from "../support/story.ts";
import { facts } from "./example-facts.ts";

const CLI = join(EXAMPLES, "../dist/cli.js");
const files = readdirSync(EXAMPLES).filter((name) => /\.(ts|yaml)$/.test(name) && !name.endsWith("-hooks.ts"));

describe.each(files)("examples/%s", (file) => {
  test("has nothing for `restyconf check` to say", async () => {
    const { code, stderr } = await run(process.execPath, [CLI, "check", join(EXAMPLES, file)]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test("does what its header says", async () => {
    await using story = await Story.start(file);
    const { tries, start } = story.header;
    expect(start).toBe(`npm start -- --config examples/${file}`);
    expect(tries).not.toEqual([]);
    for (const { command, prints } of tries) {
      const { stdout } = await story.run(command);
      if (prints.length > 0) expect(`${command}\n${normal(stdout)}`).toMatch(inOrder(prints));
    }
    await facts[file]?.(story);
  });
});

test("the table of examples has them all, each with its command", () => {
  const table = readFileSync(join(EXAMPLES, "README.md"), "utf8");
  const commands = [...table.matchAll(/`npm start -- --config examples\/([^`]+)`/g)].map(([, file]) => file);
  expect(commands.sort()).toEqual(files.sort());
});

/** OpenSSL writes `CN=name` or `CN = name`, depending on its version. */
function normal(text: string): string {
  return text.replaceAll(" = ", "=");
}

/** Whole lines in this order, where `…` stands for any text. */
function inOrder(lines: readonly string[]): RegExp {
  const escaped = lines.map((line) =>
    normal(line)
      .replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll("…", ".*"),
  );
  return new RegExp(escaped.map((line) => `^\\s*${line}$`).join("[^]*"), "m");
}
