import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../../src/worker/config/load-config.ts";
import { validate } from "../../../src/worker/config/validate.ts";
import { MAX_PAGE_ROWS, PAGE_ROWS, readFrame } from "../../../src/worker/link/frame.ts";
import { readGameServer } from "../../../src/worker/link/game-server.ts";
import { LIMITS, TIMING } from "../../../src/worker/link/limits.ts";
import { TempFolder } from "../temp-folder.ts";

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const page = read("docs/link.md");

/** Rows of the table below a heading, as cells. */
function rowsBelow(heading: string): string[][] {
  const [, section = ""] = page.split(`# ${heading}\n`);
  const table = section.split(/\n#/)[0] ?? "";
  const lines = table.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const word = (cell = ""): string => cell.replaceAll("`", "");
const typesIn = (source: string): string[] =>
  [...source.matchAll(/readonly type: "(\w+)"/g)].map(([, type = ""]) => type);
const number = (digits: number): string => digits.toLocaleString("en-US");

describe("docs/link.md", () => {
  test("lists every frame from the gateway, and no other", () => {
    const types = new Set(typesIn(read("src/worker/link/frame.ts")));
    expect(
      rowsBelow("From the gateway")
        .map(([type]) => word(type))
        .sort(),
    ).toEqual([...types].sort());
  });

  test("lists every frame from a game server, and no other", () => {
    const types = [...read("src/worker/link/frame.ts").matchAll(/^ {2}\["(\w+)", /gm)].map(([, type = ""]) => type);
    expect(types.length).toBeGreaterThan(5);
    const listed = new Set(rowsBelow("From the game server").map(([type]) => word(type))); // some in several ways
    expect([...listed].sort()).toEqual(types.sort());
  });

  test.each(rowsBelow("From the game server"))(
    "has an example of %s that is understood, with the fields that it names",
    (type, fields, example) => {
      const frame = JSON.parse(word(example)) as Record<string, unknown>;
      expect(frame["type"]).toBe(word(type));
      expect(readFrame(frame)).toMatchObject({ kind: word(type) });
      const named = [...(fields ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name);
      for (const name of Object.keys(frame)) expect(["type", ...named]).toContain(name);
    },
  );

  test("gives reasons that the sources give", () => {
    const sources = ["requests", "ban-request", "links", "messages", "link-sessions", "frame"]
      .map((name) => read(`src/worker/link/${name}.ts`))
      .join();
    const reasons = rowsBelow("What is refused").flatMap(([reason = ""]) => reason.split(", ").map(word));
    for (const reason of reasons) for (const part of reason.split("…")) expect(sources, reason).toContain(part.trim());
  });

  test.each(rowsBelow("Who is linked to"))("says rightly that %s has a link %s", (value, link) => {
    const server = readGameServer({ service: "game", instance: "a" }, word(value));
    const leads = typeof server === "object" ? `to ${server.link}` : "none";
    expect(word(link)).toBe(leads);
  });

  test("gives the limits as they are", () => {
    const seconds = (ms: number): string => `${ms / 1_000} s`;
    for (const text of [
      `at most ${number(LIMITS.frameBytes)} bytes`,
      `every ${seconds(TIMING.heartbeatMs)}`,
      `within ${seconds(TIMING.heartbeatMs + TIMING.heartbeatTimeoutMs)}: no frame for ${seconds(TIMING.heartbeatTimeoutMs)}`,
      `no \`welcome\` within ${seconds(TIMING.welcomeMs)}`,
      `after ${TIMING.minRetryMs} ms at first, doubling to ${seconds(TIMING.maxRetryMs)}`,
      `lasted for ${seconds(TIMING.stableMs)}`,
      `waits for ${seconds(TIMING.goodbyeMs)} at most`,
      `${number(LIMITS.inboxMessages)}, or ${number(LIMITS.inboxBytes)} bytes`,
      `has not read | ${number(LIMITS.queueBytes)} bytes | the new one`,
      `(${PAGE_ROWS}, at most ${MAX_PAGE_ROWS})`,
    ])
      expect(page).toContain(text);
  });

  test("has a configuration that is right", async () => {
    const [, text = ""] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
    using folder = new TempFolder({ "c.ts": text });
    expect(Object.keys(validate(await loadConfig("c.ts", folder.path)).servers)).toEqual(["edge"]);
  });
});
