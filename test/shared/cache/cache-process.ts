import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { cache } from "../../../src/shared/cache/cache.ts";
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";

// A worker that asks its cache for the same keys as others do, whose callbacks count how many of them run at once.

export interface CacheTask {
  readonly name: "ask" | "hang";
  readonly rounds: number;
}

const { handles, task } = JSON.parse(process.argv[2] ?? "{}") as {
  handles: Parameters<typeof attachDicts>[0];
  task: CacheTask;
};
const dict = attachDicts(handles).dicts["dict"];
if (dict === undefined) throw new Error("no dictionary");
const shared = dict;
const cached = cache<string>("values", { dict, ttlMs: 20, lock: { timeoutMs: 30_000 } });

async function fetchOne(key: string): Promise<string> {
  const inside = shared.incr(`inside ${key}`, 1, 0).value ?? 0;
  if (inside > 1) shared.incr("two inside", 1, 0);
  await sleep(2);
  shared.incr(`inside ${key}`, -1);
  shared.incr("fetched", 1, 0);
  return `value of ${key}`;
}

async function ask(): Promise<void> {
  for (let round = 0; round < task.rounds; round++) {
    const key = `key-${round % 5}`;
    const { value } = await cached.get(key, () => fetchOne(key));
    if (value !== `value of ${key}`) shared.incr("wrong", 1, 0);
    shared.incr("answered", 1, 0);
    if (round % 10 === 0) await sleep(3);
  }
}

async function hang(): Promise<void> {
  await cached.get("slow", async () => {
    process.send?.("inside");
    await sleep(60_000);
    return "never";
  });
}

await (task.name === "ask" ? ask() : hang());
process.disconnect();
