import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { ended, processes } from "../processes.ts";
import { counted, KINDS, PLACES, stormLimits, talliedAs } from "./storm-limits.ts";

const { start } = processes("limits/storm-process.ts");
const KILLS = process.env["RESTYCONF_LONG"] ? 1_000 : 24;
const AT_ONCE = 4;
/** Whatever is killed, all limiters answer, and the places of the dead are free, within a second: the long run, which has the machine to itself, holds it to that; beside other tests a busy machine takes its part. */
const MAX_WAIT_MS = process.env["RESTYCONF_LONG"] ? 1_000 : 10_000;
/** While others storm on, one of them may be within a call and off its core, alive: a busy machine lets it wait its turn. */
const MAX_WAIT_BESIDE_OTHERS_MS = 10_000;

type Limits = ReturnType<typeof stormLimits>;

test(`after each of ${KILLS} kills at any moment limiters of all kinds are right within a second`, {
  timeout: 900_000,
}, async ({ annotate }) => {
  const dicts = openDicts({ dict: "1m" }, { isShared: true });
  const { dict } = dicts.dicts;
  if (dict === undefined) throw new Error("it was opened above");
  const limits = stormLimits(dict);
  const waited: Record<"alone" | "besideOthers", number[]> = { alone: [], besideOthers: [] };
  for (let kills = 0; kills < KILLS; kills += AT_ONCE) {
    const stormers = Array.from({ length: AT_ONCE }, () => start({}, dicts));
    await Promise.all(stormers.map((stormer) => once(stormer, "message")));
    const waits: number[] = [];
    for (const stormer of stormers) waits.push(await killAndAsk(stormer, limits));
    waited.alone.push((waits.pop() ?? 0) + takeAllPlaces(limits));
    waited.besideOthers.push(...waits);
    expect(Math.max(...waited.alone)).toBeLessThan(MAX_WAIT_MS);
    expect(Math.max(...waited.besideOthers)).toBeLessThan(MAX_WAIT_BESIDE_OTHERS_MS);
    for (const kind of KINDS) expectExact(dict, limits, kind, kills + AT_ONCE);
  }
  const [alone, besideOthers] = [waited.alone, waited.besideOthers].map((each) => Math.max(...each).toFixed(1));
  await annotate(`${KILLS} kills of those who ask limiters: ${alone} ms at most, ${besideOthers} beside others`);
});

/** Answers how long it took until all limiters had answered. */
async function killAndAsk(stormer: ChildProcess, { conn, counting }: Limits): Promise<number> {
  await sleep(Math.random() * 3);
  stormer.kill("SIGKILL");
  const killed = performance.now();
  expect(conn.incoming("conn", { commit: false }).err).toBeUndefined();
  for (const kind of KINDS) expect(counting[kind].incoming(kind, { commit: false }).err).toBeUndefined();
  const waitedMs = performance.now() - killed;
  expect(await ended(stormer)).toBe("SIGKILL");
  return waitedMs;
}

/** Nobody lives who holds one. Answers how long it took. */
function takeAllPlaces({ conn }: Limits): number {
  const began = performance.now();
  for (let place = 0; place < PLACES; place++) expect(conn.incoming("conn").err).toBeUndefined();
  expect(conn.incoming("conn")).toEqual({ err: "rejected" });
  const tookMs = performance.now() - began;
  conn.close();
  return tookMs;
}

/** Each kill may have come between being let in and saying so; more than that is lost, or counted twice. */
function expectExact(dict: SharedDict, limits: Limits, kind: (typeof KINDS)[number], kills: number): void {
  const unsaid = counted(limits, kind) - Number(dict.get(talliedAs(kind)));
  expect(unsaid, kind).toBeGreaterThanOrEqual(0);
  expect(unsaid, kind).toBeLessThanOrEqual(kills);
}
