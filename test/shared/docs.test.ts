import { readFileSync } from "node:fs";
import { transform } from "esbuild";
import { describe, expect, test } from "vitest";
import { cache, lock, lru, semaphore, sleep, sync } from "../../src/index.ts";
import { openDicts } from "../../src/shared/dict/open-dicts.ts";
import { WorkerEvents } from "../../src/shared/events/events.ts";
import { localTransport } from "../../src/shared/events/local-transport.ts";
import { EventRelay } from "../../src/shared/events/relay.ts";
import { loadConfig } from "../../src/worker/config/load-config.ts";
import { validate } from "../../src/worker/config/validate.ts";
import { TempFolder } from "../worker/temp-folder.ts";

// Every piece of code on the page is run, and each line that says what it answers must answer that.

const page = readFileSync(new URL("../../docs/shared-state.md", import.meta.url), "utf8");
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ title: text.slice(0, text.indexOf("\n")), text }));

const AsyncFunction: new (...words: string[]) => (...values: unknown[]) => Promise<void> = Reflect.get(
  async () => {},
  "constructor",
);

/** `call; // answer` becomes a comparison of both; all else stays as it is. */
function checking(code: string): string {
  return code.replaceAll(/^( *)(?!const )(\S.*); \/\/ (.+)$/gm, "$1tell($3, await ($2));");
}

describe("docs/shared-state.md", () => {
  test.each(sections)("$title: each line answers what the page says", async ({ text }) => {
    const blocks = [...text.matchAll(/^```js\n([\s\S]+?)^```$/gm)].map(([, code = ""]) => code);
    expect(blocks).toHaveLength(1);
    const { dicts } = openDicts({ dict: "1m" });
    const events = new WorkerEvents({ transport: localTransport(new EventRelay(), 0), number: 0 });
    let told = 0;
    const tell = (answer: unknown, real: unknown): void => {
      told++;
      expect(real).toEqual(answer);
    };
    const words = { dict: dicts["dict"], worker: { events }, cache, lock, lru, semaphore, sleep, sync, tell };
    for (const block of blocks) {
      const { code } = await transform(`export default async () => {${checking(block)}}`, { target: "node20" });
      const body = code.replace(/export default/, "return (").replace(/;\s*$/, "\n)()");
      await new AsyncFunction(...Object.keys(words), body)(...Object.values(words));
    }
    expect(told).toBeGreaterThan(1);
  });

  test("has a configuration that is right", async () => {
    const [, text = ""] = /^```ts\n([\s\S]+?)^```$/m.exec(page) ?? [];
    using folder = new TempFolder({ "c.ts": text });
    expect(Object.keys(validate(await loadConfig("c.ts", folder.path)).servers)).toEqual(["edge"]);
  });

  test.each(sections)("$title says what it returns and what happens on timeout", ({ text }) => {
    expect(text).toMatch(/\*\*returns\*\*|answers/i);
    expect(text).toMatch(/on timeout|times out/i);
    expect(text).toMatch(/phase|In `initWorker`/i);
  });
});
