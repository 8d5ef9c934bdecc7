import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SyncSource } from "../../../src/shared/sync/source.ts";
import { sync } from "../../../src/shared/sync/sync.ts";

// A worker that copies a source which changes all the time, and looks whether what it sees is whole.

export interface SyncTask {
  readonly looks: number;
}

const { handles, task } = JSON.parse(process.argv[2] ?? "{}") as {
  handles: Parameters<typeof attachDicts>[0];
  task: SyncTask;
};
const dict = attachDicts(handles).dicts["dict"];
if (dict === undefined) throw new Error("no dictionary");
const shared = dict;

/** Each load is another version, of which all entries say the number. Loads at the same time would show. */
const source: SyncSource = {
  id: "numbers",
  async load() {
    if ((shared.incr("loading", 1, 0).value ?? 0) > 1) shared.incr("two owners", 1, 0);
    await sleep(1);
    shared.incr("loading", -1);
    const number = shared.incr("version", 1, 0).value;
    return { version: `${number}`, entries: new Map(Array.from({ length: 50 }, (_, n) => [`key-${n}`, `${number}`])) };
  },
};

await using copy = sync("numbers", { dict, source, intervalMs: 1 });
await copy.ready();
copy.onChange(() => {
  if (copy.isOwner) process.send?.("owner");
});
let last = 0;
for (let look = 0; look < task.looks; look++) {
  const data = copy.data();
  if (new Set(data.values()).size !== 1 || data.size !== 50) shared.incr("torn", 1, 0);
  const number = Number(data.get("key-0"));
  if (number < last) shared.incr("backwards", 1, 0);
  last = number;
  if (look % 20 === 0) await sleep(1);
}
shared.incr("done", 1, 0);
if (task.looks > 0) process.disconnect();
else await sleep(600_000);
