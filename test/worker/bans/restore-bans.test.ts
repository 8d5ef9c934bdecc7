import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GatewayError } from "../../../src/errors.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import type { Loss } from "../../../src/registry/redis/loss.ts";
import type { Registry } from "../../../src/registry/registry.ts";
import { restoreBans } from "../../../src/worker/bans/restore-bans.ts";
import { WorkerBans } from "../../../src/worker/bans/worker-bans.ts";
import { eventually } from "../../support/eventually.ts";
import { openPerTest } from "../../support/open-per-test.ts";
import { LogRig } from "../link/rig.ts";

let registry: Registry;
let log: LogRig;
const open = openPerTest();
afterEach(() => void vi.useRealTimers()); // before what is open is closed: hooks behind run first

beforeEach(() => {
  registry = memoryRegistry();
  log = new LogRig();
  open.push(registry);
});

async function worker(): Promise<WorkerBans> {
  const bans = await WorkerBans.open({ registry, isOwn: false }, log);
  open.push(bans);
  return bans;
}

/** A Redis that has lost its data, as those who put bans back see it. */
function emptied(epoch = "1") {
  const kept = memoryRegistry();
  open.push(kept);
  const puts: { key: string; ttlMs: number | undefined }[] = [];
  const loss = {
    epoch,
    read: (keys: readonly string[]) => Promise.all(keys.map((key) => kept.get(key))),
    swap: async (key: string, { before, value = "", ttlMs }: Parameters<Loss["swap"]>[1]) => {
      if ((await kept.get(key)) !== before) return false;
      puts.push({ key, ttlMs });
      await kept.put(key, value, ttlMs === undefined ? {} : { ttlMs });
      return true;
    },
  };
  return { registry: kept, loss, puts, bans: async () => [...(await kept.list("ban:")).keys()] };
}

describe("when Redis has lost its data", () => {
  const stop = new AbortController();
  const knownTo = (source: WorkerBans, ...hosts: readonly string[]) => ({
    keys: hosts.map((host) => `ban:${host}`),
    ban: (key: string) => source.table.ofAddress(key.slice(4)),
    isOutdated: () => false,
    isSure: true,
  });

  test("one of those who know the bans puts them back, with the time that is left", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    await source.add("192.0.2.2", { ttlMs: 60_000 });
    await source.add("192.0.2.3", { ttlMs: 1 });
    const { registry: kept, loss, puts, bans } = emptied();
    const restored = { registry: kept, loss, ...knownTo(source, "192.0.2.1", "192.0.2.2", "192.0.2.3") };
    await eventually(() => expect(source.table.ofAddress("192.0.2.3")).toBeUndefined());
    await Promise.all([restoreBans(restored, stop.signal), restoreBans(restored, stop.signal)]);
    expect(await bans()).toEqual(["ban:192.0.2.1", "ban:192.0.2.2"]);
    expect(puts).toHaveLength(2);
    expect(puts[0]?.ttlMs).toBeUndefined();
    expect(puts[1]?.ttlMs).toBeGreaterThan(50_000);
    expect(puts[1]?.ttlMs).toBeLessThanOrEqual(60_000);
  });

  test("who knows more than the one who was first puts the rest back, and leaves what was written meanwhile", async () => {
    const source = await worker();
    for (const host of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) await source.add(host);
    const { registry: kept, loss, puts, bans } = emptied();
    const held = { registry: kept, loss };
    await restoreBans({ ...held, ...knownTo(source, "192.0.2.1") }, stop.signal);
    await kept.put("ban:192.0.2.2", '{"reason":"by hand"}');
    await restoreBans({ ...held, ...knownTo(source, "192.0.2.1", "192.0.2.2", "192.0.2.3") }, stop.signal);
    expect(await bans()).toEqual(["ban:192.0.2.1", "ban:192.0.2.2", "ban:192.0.2.3"]);
    expect(puts.map(({ key }) => key)).toEqual(["ban:192.0.2.1", "ban:192.0.2.3"]);
    expect(await kept.get("ban:192.0.2.2")).toBe('{"reason":"by hand"}');
  });

  test.each([
    ["the first has died over it", "one who died"],
    ["the mark on Redis' disk is of another time", "done 1"],
  ])(
    "another one puts them back when %s",
    async (_, mark) => {
      const source = await worker();
      await source.add("192.0.2.1");
      const { registry: kept, loss, bans } = emptied("2");
      await kept.put("bans:restored", mark, { ttlMs: 5_000 });
      const restored = { registry: kept, loss, ...knownTo(source, "192.0.2.1") };
      await Promise.all([restoreBans(restored, stop.signal), restoreBans(restored, stop.signal)]);
      expect(await bans()).toEqual(["ban:192.0.2.1"]);
      expect(await kept.get("bans:restored")).toBe("done 2");
    },
    60_000,
  );

  test("goes on when Redis goes again, until all is back or the time is over", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    const { registry: kept, loss, bans } = emptied();
    let failures = 2;
    const swap: Loss["swap"] = async (key, one) => {
      if (failures-- > 0) throw new Error("away");
      return await loss.swap(key, one);
    };
    const restored = { registry: kept, loss: { ...loss, swap }, ...knownTo(source, "192.0.2.1") };
    await restoreBans(restored, stop.signal);
    expect(await bans()).toEqual(["ban:192.0.2.1"]);
    failures = Number.POSITIVE_INFINITY;
    await kept.delete("ban:192.0.2.1");
    await restoreBans(restored, AbortSignal.timeout(3_000)); // ends
    expect(await bans()).toEqual([]);
  }, 60_000);

  test("who was cut off for long meanwhile goes on only where nobody knows better", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    const { registry: kept, loss, bans } = emptied();
    await kept.put("bans:restored", "done 1");
    let failures = 0;
    const get = async (key: string): Promise<string | undefined> => {
      if (failures++ > 1) return await kept.get(key);
      vi.advanceTimersByTime(8_000);
      throw new Error("away");
    };
    vi.useFakeTimers({ toFake: ["performance"] });
    await restoreBans(
      { registry: { get, put: kept.put.bind(kept) }, loss, ...knownTo(source, "192.0.2.1") },
      stop.signal,
    );
    expect(await bans()).toEqual([]);
  }, 60_000);

  /** As it is found; and what was begun, until when what is missing stays known. */
  function lost(loss: Pick<Loss, "epoch" | "read" | "swap">, unheardMs: number) {
    const begun: Promise<unknown>[] = [];
    const found: Loss = {
      ...{ ...loss, found: new Map(), unheardMs, isLasting: () => true },
      ...{ keepUntil: (restored) => void begun.push(restored), tellOut: () => {}, onOut: () => () => {} },
    };
    return { found, begun };
  }

  test("who has heard of it just before puts all back, however long that takes", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    const { loss, bans } = emptied();
    const { found, begun } = lost(loss, 14_990);
    source.restore(found);
    await Promise.all(begun);
    expect([begun.length, await bans()]).toEqual([1, ["ban:192.0.2.1"]]);
  }, 60_000);

  test("what is missing stays known until all is back, or begun anew with the next loss", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    const { loss, bans } = emptied();
    let reads = 0;
    const read = async (): Promise<never> => {
      reads++;
      throw new Error("away");
    };
    const [first, second, third] = [
      lost({ ...loss, read }, 1_000),
      lost({ ...loss, epoch: "2" }, 15_001),
      lost({ ...loss, epoch: "3" }, 1_000),
    ];
    let isOver = false;
    source.restore(first.found);
    void first.begun[0]?.then(() => {
      isOver = true;
    });
    await eventually(() => expect(reads).toBeGreaterThan(5));
    expect(isOver).toBe(false);
    source.restore(second.found);
    await eventually(() => expect(isOver).toBe(true));
    source.restore(third.found);
    await Promise.all([...second.begun, ...third.begun]);
    expect(await bans()).toEqual(["ban:192.0.2.1"]);
    expect(log.lines.map(({ event }) => event)).toEqual([
      "bans that redis has lost are put back",
      "bans that redis has lost are put back, unless others know better",
      "bans that redis has lost are put back",
    ]);
  }, 60_000);

  test("a Redis that takes no writes is asked for a minute, and then what it has holds", async () => {
    const source = await worker();
    await source.add("192.0.2.1");
    const { registry: kept, loss } = emptied();
    const reply = Object.assign(new Error("READONLY"), { name: "ReplyError" });
    let puts = 0;
    const put = (): Promise<never> => {
      vi.advanceTimersByTime(++puts * 20_000);
      return Promise.reject(GatewayError.from(reply, "RC_REGISTRY"));
    };
    vi.useFakeTimers({ toFake: ["performance"] });
    const refused = { registry: { get: kept.get.bind(kept), put }, loss, ...knownTo(source, "192.0.2.1") };
    await restoreBans(refused, stop.signal);
    expect(puts).toBe(3); // the first is refused, 40 s later the second, 60 s later the third
  }, 60_000);
});
