import { readFileSync } from "node:fs";
import { transform } from "esbuild";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as codecs from "../../src/codecs/index.ts";
import * as restyconf from "../../src/index.ts";
import * as preread from "../../src/preread/index.ts";
import type { Party, PartyTls, Run, RunOptions } from "../../src/testing/index.ts";
import * as testing from "../../src/testing/index.ts";

// Each block of code on the page is run, its tests are run, and its tables have a row for everything that there is.

const page = readFileSync(new URL("../../docs/testing.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

interface Block {
  readonly tests: readonly { readonly name: string; readonly work: () => Promise<void> }[];
  /** Transcripts of the runs that have ended. */
  readonly texts: readonly string[];
}

/** Runs a block of code. */
async function ran(block: string): Promise<Block> {
  const tests: { name: string; work: () => Promise<void> }[] = [];
  const texts: string[] = [];
  const runSession: typeof testing.runSession = async (config, options) => {
    const run = await testing.runSession(config, options);
    texts.push(run.text);
    return run;
  };
  const modules: Readonly<Record<string, object>> = {
    restyconf,
    "restyconf/preread": preread,
    "restyconf/codecs": codecs,
    "restyconf/testing": { ...testing, runSession },
    vitest: { expect, test: (name: string, work: () => Promise<void>) => tests.push({ name, work }) },
  };
  const names = new Map<string, unknown>();
  for (const [, list = "", from = ""] of block.matchAll(/^import \{ (.*) \} from "(.*)";$/gm)) {
    for (const name of list.split(", ")) names.set(name, Reflect.get(modules[from] ?? {}, name));
  }
  expect([...names].filter(([, value]) => value === undefined)).toEqual([]);
  const { code } = await transform(block.replace(/^import .*\n/gm, ""), { loader: "ts", target: "es2022" });
  await AsyncFunction(...names.keys(), code)(...names.values());
  return { tests, texts };
}

describe("docs/testing.md", () => {
  test.each(blocks)("block %#", async (block) => {
    const { tests } = await ran(block);
    for (const { work } of tests) await work();
    expect(tests.length > 0 || /\bexpect\(/.test(block)).toBe(true);
  });

  test("shows the transcript of its first example", async () => {
    const [, shown = ""] = /^## The transcript\n.*?^```\n(.*?)^```$/ms.exec(page) ?? [];
    const { tests, texts } = await ran(blocks[0] ?? "");
    await tests[0]?.work();
    expect(texts).toEqual([shown.trimEnd()]);
  });

  const rowsOf = (heading: string): string[] => {
    const [, section = ""] = new RegExp(`^## ${heading}\n(.*?)(?=^## |$(?![^]))`, "ms").exec(page) ?? [];
    return [...section.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(
      ([, cell = ""]) => cell.match(/\w+(?=(?:\([^)]*\))?`)/g) ?? [],
    );
  };

  test("has all options and all fields of a run", () => {
    const options: Readonly<Record<keyof RunOptions, true>> = {
      server: true,
      client: true,
      peers: true,
      remote: true,
      local: true,
      tls: true,
      oneByOne: true,
      registry: true,
      now: true,
      clock: true,
      limitMs: true,
      baseDir: true,
    };
    const fields: Readonly<Record<keyof Run, true>> = {
      toClient: true,
      toPeer: true,
      connected: true,
      line: true,
      logs: true,
      ctx: true,
      transcript: true,
      text: true,
    };
    expect(rowsOf("runSession\\(config, options\\?\\)")).toEqual([...Object.keys(options), ...Object.keys(fields)]);
  });

  test("has all options of TLS", () => {
    const options: Readonly<Record<keyof PartyTls, true>> = {
      serverName: true,
      alpn: true,
      ca: true,
      cert: true,
      key: true,
      minVersion: true,
      maxVersion: true,
    };
    expect(rowsOf("TLS")).toEqual(Object.keys(options));
  });

  test("has all steps, and all methods of a party", () => {
    type Method = "send" | "receive" | "receiveUntil" | "receiveAll" | "wait" | "end" | "reset" | "startTls";
    expectTypeOf<Exclude<keyof Party, "name" | "received">>().toEqualTypeOf<Method>();
    const [, section = ""] = /^## Scripts\n(.*?)^## /ms.exec(page) ?? [];
    const cells = [...section.matchAll(/^\| (.*?) \| (.*?) \| /gm)]
      .slice(2)
      .map(([, step = "", method = ""]) => [step, method]);
    const named = (column: number) => new Set(cells.flatMap((row) => /^`(\w+)/.exec(row[column] ?? "")?.[1] ?? []));
    expect(named(0)).toEqual(new Set(["send", "receive", "wait", "end", "reset", "startTls", "echo"]));
    expect(named(1)).toEqual(
      new Set(["send", "receive", "receiveUntil", "receiveAll", "wait", "end", "reset", "startTls"]),
    );
  });
});
