import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openRegistry } from "../../../src/registry/open-registry.ts";
import { MAX_REASON_CHARS, readBan } from "../../../src/stream/bans/ban.ts";
import { whomOf } from "../../../src/stream/bans/whom.ts";
import { MAX_BANS } from "../../../src/worker/bans/worker-bans.ts";
import { ANSWER_MS, MAX_PUSH_BYTES } from "../../../src/worker/everywhere/sessions-everywhere.ts";
import { readFrame } from "../../../src/worker/link/frame.ts";
import { RedisServer } from "../../registry/redis-server.ts";
import { run } from "../../support/programs.ts";

const read = (name: string): string => readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8");
const page = read("bans");
const number = (digits: number): string => digits.toLocaleString("en-US");

function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"))].map(([, text = ""]) => text);
}

describe("docs/bans.md", () => {
  const [, whom = ""] = page.split("\n## Whom\n");
  const rows = [...(whom.split("\n## ")[0] ?? "").matchAll(/^\| (`.*?) \|/gm)].map(([, cell = ""]) => cell);
  const texts = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text));

  test.each(texts)("says rightly that %s means somebody, and writes it as the registry does", (text) => {
    expect(whomOf(text)?.text).toBe(text);
  });

  test("has frames that are understood", () => {
    const frames = blocks("json").flatMap((text) => text.trim().split("\n"));
    expect(frames).toHaveLength(3);
    for (const frame of frames.map((text) => JSON.parse(text)))
      expect(readFrame(frame)).toMatchObject({ kind: frame.type });
    expect(frames.filter((text) => text.includes('"unban"'))).toHaveLength(1);
  });

  test("bans by redis-cli as it says", async () => {
    await using redis = await RedisServer.start();
    await using registry = await openRegistry({ redis: redis.url }, { log: { info() {}, warn() {} } });
    await registry.list("ban:"); // a gateway that listens
    const [block = ""] = blocks("sh");
    const lines = block.split("\n");
    expect(lines.filter((line) => line.startsWith("$ "))).toHaveLength(3);
    for (const [index, line] of lines.entries()) {
      if (!line.startsWith("$ ")) continue;
      const command = line.slice(2).replace("redis-cli", `redis-cli -p ${redis.port} --no-raw`);
      const { stdout } = await run("bash", ["-c", command]);
      expect(stdout.trim(), line).toBe(lines[index + 1]);
      const [, key = "", value = ""] = /SET restyconf:(\S+) '(.*?)'/.exec(line) ?? [];
      if (key) expect(readBan(key, value)).toMatchObject({ reason: "by hand" });
    }
  });

  test("gives the limits as they are", () => {
    expect(page).toContain(`There may be ${number(MAX_BANS)}`);
    expect(page).toContain(`A reason has ${MAX_REASON_CHARS} characters at most`);
    const scaling = read("scaling");
    expect(scaling).toContain(`has not answered within ${number(ANSWER_MS)} ms`);
    expect(scaling).toContain(`above ${number(MAX_PUSH_BYTES)} bytes`);
  });
});
