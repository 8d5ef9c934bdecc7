import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import type { Registry } from "../../../src/registry/registry.ts";
import type { BanTable } from "../../../src/stream/bans/ban-table.ts";
import { stages } from "../../../src/stream/limits/limit-key.ts";
import type { Session } from "../../../src/stream/session.ts";
import { bansRegistry } from "../../../src/worker/bans/bans-registry.ts";
import { type BansHost, WorkerBans } from "../../../src/worker/bans/worker-bans.ts";
import { eventually } from "../../support/eventually.ts";
import { openPerTest } from "../../support/open-per-test.ts";
import { LogRig } from "../link/rig.ts";
import { TempFolder } from "../temp-folder.ts";

let registry: Registry;
let log: LogRig;
const open = openPerTest();

beforeEach(() => {
  registry = memoryRegistry();
  log = new LogRig();
  open.push(registry);
});

/** A worker's sessions, as far as bans see them. */
class HostRig implements BansHost {
  /** Addresses of sessions that live. */
  readonly sessions: Set<string>;
  walks = 0;
  /** Looks at silent clients, each with whether 192.0.2.1 was held. */
  readonly looks: boolean[] = [];

  constructor(...sessions: readonly string[]) {
    this.sessions = new Set(sessions);
  }

  async killBanned(bans: BanTable): Promise<number> {
    this.walks++;
    const banned = [...this.sessions].filter((host) => bans.ofAddress(host));
    for (const host of banned) this.sessions.delete(host);
    return banned.length;
  }

  killSilent(bans: BanTable): void {
    this.looks.push(bans.ofAddress("192.0.2.1") !== undefined);
  }
}

async function worker(host?: HostRig): Promise<WorkerBans> {
  const bans = await WorkerBans.open({ registry, isOwn: false }, log);
  if (host) bans.serves(host);
  open.push(bans);
  return bans;
}

const who = (bans: WorkerBans, host: string): string | undefined => bans.table.ofAddress(host)?.whom;

describe("a worker", () => {
  test("knows from its start what is banned, and learns of what others ban and take back", async () => {
    await registry.put("ban:192.0.2.1", "{}");
    const [one, other] = [await worker(), await worker()];
    expect([who(one, "192.0.2.1"), who(other, "192.0.2.1")]).toEqual(["192.0.2.1", "192.0.2.1"]);
    expect(await one.add("203.0.113.9/24", { reason: "spam", ttlMs: 60_000 })).toMatchObject({
      whom: "203.0.113.0/24",
      reason: "spam",
    });
    expect(who(one, "203.0.113.77")).toBe("203.0.113.0/24"); // whoever has said it need not wait
    await eventually(() => expect(other.list().map(({ whom }) => whom)).toEqual(["192.0.2.1", "203.0.113.0/24"]));
    expect(await other.remove("203.0.113.1/24")).toBe(true);
    expect(await other.remove("203.0.113.1/24")).toBe(false);
    await eventually(() => expect(who(one, "203.0.113.77")).toBeUndefined());
  });

  test("forgets a ban when its time is over, also when nobody says so", async () => {
    const bans = await worker();
    await registry.put("ban:192.0.2.1", JSON.stringify({ until: new Date(Date.now() + 4_000).toISOString() }));
    await eventually(() => expect(who(bans, "192.0.2.1")).toBe("192.0.2.1"));
    await eventually(() => expect(who(bans, "192.0.2.1")).toBeUndefined());
    expect(bans.list()).toEqual([]);
    await bans.add("192.0.2.2", { ttlMs: 60 });
    await eventually(async () => expect(await registry.get("ban:192.0.2.2")).toBeUndefined());
  });

  test("holds a burst of bans against its sessions once, each of them once", async () => {
    const host = new HostRig("192.0.2.1", "192.0.2.2", "198.51.100.1");
    const bans = await worker(host);
    const puts = Array.from({ length: 200 }, (_, number) => registry.put(`ban:192.0.2.${number}`, "{}"));
    await Promise.all(puts);
    await eventually(() => expect([...host.sessions]).toEqual(["198.51.100.1"]));
    await eventually(() => expect(bans.list()).toHaveLength(200));
    await sleep(0); // what they have begun is over
    expect(host.walks).toBeLessThan(4);
    const walks = host.walks;
    await bans.remove("192.0.2.7");
    await registry.put("ban:192.0.2.8", "{}"); // as it was
    await bans.add("clientId=x");
    await eventually(() => expect(host.walks).toBe(walks + 1)); // only the new one
    expect(log.lines.filter(({ event }) => event === "sessions of the banned have ended")).toHaveLength(1);
  });

  test("looks at silent clients at once, and again and again as long as addresses are banned", async () => {
    const host = new HostRig();
    const bans = await worker(host);
    await bans.add("clientId=x");
    expect(host.looks).toEqual([]);
    await bans.add("192.0.2.1");
    expect(host.looks).toEqual([true]);
    await eventually(() => expect(host.looks.length).toBeGreaterThan(2));
    await bans.remove("192.0.2.1");
    const { length } = host.looks;
    await sleep(600);
    expect(host.looks).toHaveLength(length);
  });

  test("ends the sessions of what was banned before it served", async () => {
    const bans = await worker();
    await bans.add("192.0.2.1");
    const host = new HostRig("192.0.2.1");
    bans.serves(host);
    await eventually(() => expect(host.sessions.size).toBe(0));
    expect(host.looks).toEqual([true]);
  });

  test("passes over what strangers write, with one line for many", async () => {
    const bans = await worker();
    await Promise.all(
      ["ban:x", "ban:10.0.0.1/8", "ban:clientId=", `ban:${"y".repeat(5_000)}`].map((key) => registry.put(key, "{}")),
    );
    await registry.put("ban:192.0.2.1", "[".repeat(5_000));
    await eventually(() => expect(log.lines).not.toEqual([]));
    expect(bans.list()).toEqual([]);
    const warnings = log.lines.filter(({ level }) => level === "warn");
    expect(warnings.length).toBeLessThan(4);
    expect(warnings[0]?.event).toBe("ban:x is ignored: it names nobody");
    for (const { event } of warnings) expect(event.length).toBeLessThan(200);
  });

  test.each([
    [() => ["nobody", {}], "whom: expected an address, a subnet like 203.0.113.0/24"],
    [() => [7, {}], "whom: expected"],
    [() => ["192.0.2.1", { ttlMs: 0 }], "ttlMs: expected more than 0"],
  ])("takes no %s", async (parameters, message) => {
    const bans = await worker();
    const [whom, options] = parameters() as [string, object];
    await expect(bans.add(whom, options)).rejects.toThrow(TypeError);
    await expect(bans.add(whom, options)).rejects.toThrow(message);
    expect(bans.list()).toEqual([]);
  });

  test("takes no ban by one variable too many, says so, and takes it when there is room again; a client's id always", async () => {
    const bans = await worker();
    const added = Array.from({ length: 16 }, (_, number) => bans.add(`var:k${number}=x`));
    await Promise.all(added);
    await expect(bans.add("var:more=x")).rejects.toThrow("bans by more than 16 variables");
    expect(await registry.get("ban:var:more=x")).toBeUndefined();
    await bans.add("var:k0=y");
    await bans.add("clientId=bot-7");
    const bot = { info: { clientId: "bot-7" }, vars: {} } as unknown as Session;
    expect(bans.table.ofSession(bot, stages.routed)?.whom).toBe("clientId=bot-7");
    await registry.put("ban:var:later=x", "{}");
    await eventually(() => expect(log.lines).toMatchObject([{ level: "warn" }]));
    expect(bans.list()).toHaveLength(18);
    await bans.remove("var:k7=x");
    expect(bans.list().map(({ whom }) => whom)).toContain("var:later=x");
    const later = { vars: { later: "x" } } as unknown as Session;
    expect(bans.table.ofSession(later, stages.routed)?.whom).toBe("var:later=x");
  });

  test("bans nobody while the registry cannot be reached, and says so", async () => {
    const bans = await worker();
    await registry[Symbol.asyncDispose]();
    await expect(bans.add("192.0.2.1")).rejects.toThrow("registry is closed");
    expect(bans.list()).toEqual([]);
  });
});

describe("without a shared registry", () => {
  const options = (stateDir: string | undefined) => ({ isShared: false, stateDir, log });

  test("all workers hold the bans of one file, and so do those that come after them", async () => {
    using folder = new TempFolder({});
    const started = async (): Promise<WorkerBans> =>
      WorkerBans.open(await bansRegistry(memoryRegistry(), options(folder.path)), log);
    const [one, other] = [await started(), await started()];
    await one.add("192.0.2.1", { reason: "spam" });
    await eventually(() => expect(other.list()).toMatchObject([{ whom: "192.0.2.1", reason: "spam" }]));
    await one[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    const later = await started();
    expect(later.list()).toMatchObject([{ whom: "192.0.2.1", reason: "spam" }]);
    expect(JSON.parse(readFileSync(join(folder.path, "bans.json"), "utf8"))).toHaveProperty(["ban:192.0.2.1"]);
    await later[Symbol.asyncDispose]();
  });

  test("a file that cannot be read stops nobody from serving", async () => {
    using folder = new TempFolder({});
    writeFileSync(join(folder.path, "bans.json"), "{ no json");
    const { isOwn } = await bansRegistry(registry, options(folder.path));
    expect(isOwn).toBe(false);
    expect(log.lines).toMatchObject([{ level: "warn", event: "bans hold in each worker for itself" }]);
    expect(await bansRegistry(registry, options(undefined))).toEqual({ registry, isOwn: false });
  });
});
