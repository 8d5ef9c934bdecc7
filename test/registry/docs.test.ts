import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leaseMasterIds, maxMasterIdOf } from "../../src/registry/master-ids.ts";
import { openRegistry } from "../../src/registry/open-registry.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { Snowflake } from "../../src/shared/snowflake.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/programs.ts";
import { TempFolder } from "../worker/temp-folder.ts";
import { RedisServer } from "./redis-server.ts";

// docs/registry.md is executed: each line of shell prints what stands below it.

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/registry.md"), "utf8");
const log = { info() {}, warn() {} };

/** Blocks of one language below a heading. */
function blocks(heading: string, language: string): readonly string[] {
  const [, section = ""] = page.split(`\n## ${heading}\n`);
  const [text = ""] = section.split("\n## ");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

/** Lines of shell, and what each prints. */
function stepsIn(block: string): readonly { readonly line: string; readonly prints: string }[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [line = "", ...output] = step.trimEnd().split("\n");
      return { line, prints: output.join("\n") };
    });
}

let server: RedisServer;
let registry: Registry;
beforeAll(async () => {
  server = await RedisServer.start();
  registry = await openRegistry({ redis: server.url }, { log });
  registry.watch("service:game:", new AbortController().signal);
  await registry.list("service:game:");
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function execute(block: string, cwd = root): Promise<void> {
  for (const { line, prints } of stepsIn(block)) {
    // A terminal shows types, as in the page; a pipe would not.
    const command = line.replace(
      /^redis-cli /,
      `redis-cli -p ${server.port} ${/ (--scan|GET) /.test(line) ? "" : "--no-raw "}`,
    );
    const { stdout, stderr } = await run("bash", ["-c", `cd '${cwd}' && ${command}`]);
    expect(stderr, line).toBe("");
    expect(stdout.trimEnd(), line).toBe(prints);
  }
}

/** What the gateway knows of the game servers, by instance. */
async function known(): Promise<Record<string, unknown>> {
  const found = await registry.list("service:game:");
  return Object.fromEntries([...found].map(([key, value]) => [key.slice("service:game:".length), JSON.parse(value)]));
}

describe("docs/scaling.md", () => {
  const scaling = readFileSync(join(root, "docs/scaling.md"), "utf8");

  test("its table of machineBits is right", () => {
    const rows = [...scaling.matchAll(/^\| (1\d) \| ([\d,]+) \| ([\d,]+) \|$/gm)];
    const numbers = rows.map((row) => row.slice(1).map((text) => Number(text.replace(",", ""))));
    const bits = Array.from({ length: 8 }, (_, index) => 10 + index);
    expect(numbers).toEqual(
      bits.map((machineBits) => [machineBits, maxMasterIdOf(machineBits) + 1, 2 ** (22 - machineBits)]),
    );
  });

  test.each([10, 14, 17])("a worker's number is read out of an id of %i machineBits as it says", (machineBits) => {
    const ways = [...scaling.matchAll(/`(Number\(\(BigInt\(id\)[^`]+)`/g)].map(([, way = ""]) => way);
    expect(ways).toHaveLength(2);
    const id = new Snowflake({ machineId: 1_019, machineBits }).next();
    for (const way of machineBits === 10 ? ways : ways.slice(1))
      expect(runInNewContext(way, { id, machineBits })).toBe(1_019);
  });
});

describe("docs/registry.md", () => {
  test("a game server comes, refreshes, drains and goes by redis-cli", async () => {
    const [comes = "", refreshes = "", drains = "", goes = "", lists = "", ...more] = blocks("With redis-cli", "sh");
    expect(more).toEqual([]);
    await execute(comes);
    await eventually(async () => expect(await known()).toMatchObject({ a: { address: "10.0.0.5:7000", weight: 2 } }));
    await execute(refreshes);
    await execute(drains);
    await eventually(async () => expect(await known()).toMatchObject({ a: { state: "drain" } }));
    await execute(goes);
    await eventually(async () => expect(await known()).toEqual({}));
    await execute(lists);
    await eventually(async () => expect(await known()).toEqual({ b: { address: "10.0.0.6:7000" } }));
  });

  test("a game server in plain Node registers, and says goodbye", async () => {
    const [code = ""] = blocks("From a game server", "js");
    const env = { ...process.env, REDIS_URL: server.url };
    const child = spawn("node", ["--input-type=module", "-e", code], {
      cwd: root,
      env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const exited = once(child, "exit");
    await eventually(async () =>
      expect(await known()).toMatchObject({ c: { address: "10.0.0.7:7000", tags: ["eu"] } }),
    );
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    await eventually(async () => expect(Object.keys(await known())).not.toContain("c"));
  });

  test("keys are files", async () => {
    const [lines = ""] = blocks("In files", "sh");
    using folder = new TempFolder({ "keys/.keep": "" });
    await using files = await openRegistry({ registry: "keys" }, { log, baseDir: folder.path });
    const [write, remove] = stepsIn(lines);
    await execute(`$ ${write?.line}`, folder.path);
    await eventually(async () => expect(await files.get("service:game:a")).toBe(`{"address":"10.0.0.5:7000"}\n`));
    await execute(`$ ${remove?.line}`, folder.path);
    await eventually(async () => expect(await files.get("service:game:a")).toBeUndefined());
  });

  test("keys are in a JSON file", async () => {
    const [text = ""] = blocks("In files", "json");
    using folder = new TempFolder({ "keys.json": text });
    await using files = await openRegistry({ registry: "keys.json" }, { log, baseDir: folder.path });
    expect(Object.fromEntries(await files.list("service:game:"))).toEqual({
      "service:game:a": `{"address":"10.0.0.5:7000","weight":2}`,
      "service:game:b": `{"address":"10.0.0.6:7000"}`,
    });
  });

  test("a number that is leased cannot be taken", async () => {
    await using link = await openRedis(server.url, { log });
    const lease = await leaseMasterIds(link, 1);
    for (const block of blocks("Ids", "sh")) await execute(block);
    await lease.release();
  });

  test("the rights that it names are enough, for registry and ids", async () => {
    for (const block of blocks("Rights", "sh")) await execute(block);
    await server.cli("ACL", "LOG", "RESET");
    const said: string[] = [];
    const warn = (event: string): void => void said.push(event);
    const redis = `redis://gateway:secret@127.0.0.1:${server.port}`;
    await using link = await openRedis(redis, { log: { info() {}, warn } });
    await using limited = await openRegistry({ redis }, { log: { info() {}, warn }, link });
    limited.watch("service:rights:", new AbortController().signal);
    expect(await limited.list("service:rights:")).toEqual(new Map());
    await registry.put("service:rights:a", "1");
    await eventually(async () => expect(await limited.get("service:rights:a")).toBe("1"));
    await limited.put("service:rights:b", "2", { ttlMs: 10_000 });
    expect(await limited.delete("service:rights:a")).toBe(true);
    expect((await limited.list("service:")).has("service:rights:b")).toBe(true);
    const lease = await leaseMasterIds(link, 1);
    expect(lease.isHeld).toBe(true);
    await lease.release();
    expect(await server.cli("ACL", "LOG")).toBe(""); // nothing was refused, messages included
    expect(said).toEqual([]);
  });
});
