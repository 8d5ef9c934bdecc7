import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";

// Dictionaries of a gateway: one truth for all of its processes, which survives them and its configurations.

const SESSIONS = 200;

function config(workers: number, by = 1): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    const count = content(async (session) => {
      const { shared, number, generation } = session.worker;
      await session.reader.receive();
      const { value } = shared.counts.incr("sessions", ${by}, 0);
      shared.counts.incr("of " + number, 1, 0);
      await session.end([value, number, process.pid, generation].join(" "));
    });
    export default defineGateway({
      workers: ${workers}, shared: { counts: "1m" },
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(count)] } },
    });`;
}

async function counted(gateway: Gateway): Promise<{ value: number; number: number; pid: number; generation: number }> {
  const [value = 0, number = 0, pid = 0, generation = 0] = (await exchange(gateway.port(), "x\n"))
    .split(" ")
    .map(Number);
  return { value, number, pid, generation };
}

describe.each([1, 2])("a dictionary of %i workers", (workers) => {
  test("counts exactly, and survives a reload", async () => {
    await using gateway = await Gateway.start(config(workers));
    const values = await Promise.all(Array.from({ length: SESSIONS }, () => counted(gateway)));
    expect(values.map(({ value }) => value).sort((one, other) => one - other)).toEqual(
      Array.from({ length: SESSIONS }, (_, index) => index + 1),
    );
    expect(new Set(values.map(({ number }) => number)).size).toBe(workers);
    writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(workers, 1_000));
    gateway.process.kill("SIGHUP");
    await gateway.line((line) => line["msg"] === "reload done");
    expect(await counted(gateway)).toMatchObject({ value: SESSIONS + 1_000, generation: 2 });
  });
});

test.each([1, 2])(
  "a dictionary of %i workers is kept by what serves, whatever was built in between",
  async (workers) => {
    const path = (gateway: Gateway): string => join(gateway.folder, "restyconf.config.ts");
    await using gateway = await Gateway.start(config(workers));
    expect(await counted(gateway)).toMatchObject({ value: 1 });
    writeFileSync(path(gateway), config(workers).replace(`shared: { counts: "1m" },`, ""));
    expect(await tell(gateway, "reload")).toMatchObject({ stdout: "reloaded: generation 2\n" });
    expect(await tell(gateway, "rollback")).toMatchObject({ stdout: "rolled back: generation 1\n" });
    expect(await counted(gateway)).toMatchObject({ value: 2 });
    writeFileSync(path(gateway), config(workers));
    expect(await tell(gateway, "reload")).toMatchObject({ stdout: "reloaded: generation 3\n" });
    expect(await counted(gateway)).toMatchObject({ value: 3, generation: 3 });
    writeFileSync(path(gateway), "export default {");
    expect(await tell(gateway, "reload")).toMatchObject({ code: 1 });
    expect(await counted(gateway)).toMatchObject({ value: 4, generation: 3 });
  },
);

test("a dictionary survives the death of a worker", async () => {
  await using gateway = await Gateway.start(config(2));
  const { pid, value } = await counted(gateway);
  process.kill(pid, "SIGKILL");
  await gateway.line((line) => line["msg"] === "worker replaced");
  await eventually(async () => expect((await counted(gateway)).value).toBeGreaterThan(value));
});

test("limits are counted by all workers together, without a word about dictionaries", async () => {
  await using gateway = await Gateway.start(`
    import { content, defineGateway, otherwise } from "restyconf";
    const wait = content(async (session) => { await session.write("in"); await session.reader.receive("*a"); });
    export default defineGateway({
      workers: 2, servers: { edge: { listen: "127.0.0.1:0", limits: [{ conn: 3, per: "address" }], routes: [otherwise(wait)] } },
    });`);
  const sockets = await Promise.all(Array.from({ length: 12 }, () => dialIn(gateway.port())));
  const heard = await Promise.all(sockets.map((socket) => readUntil(socket, (text) => text !== "").catch(() => "")));
  expect(heard.filter((text) => text === "in")).toHaveLength(3);
  for (const socket of sockets) socket.destroy();
});

test.each([1, 2])(
  "of %i workers, locks and caches need no dictionary to be named, and hold for all of them",
  async (workers) => {
    await using gateway = await Gateway.start(`
    import { content, defineGateway, otherwise, sleep } from "restyconf";
    const caches = new Map();
    const cacheOf = (worker) => caches.get(worker) ?? caches.set(worker, worker.cache("players")).get(worker);
    export default defineGateway({
      workers: ${workers}, shared: { state: "2m" },
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
        const { worker } = session;
        await session.reader.receive();
        const { value } = await cacheOf(worker).get("ann", async () => {
          worker.shared.state.incr("fetched", 1, 0);
          await sleep(50);
          return { level: 3 };
        });
        await using lease = await worker.lock("turn");
        const inside = worker.shared.state.incr("inside", 1, 0).value;
        await sleep(2);
        worker.shared.state.incr("inside", -1);
        await session.end(JSON.stringify({ value, inside, fetched: worker.shared.state.get("fetched") }));
      }))] } },
    });`);
    const told = await Promise.all(Array.from({ length: 20 }, () => exchange(gateway.port(), "x\n")));
    for (const text of told) expect(JSON.parse(text)).toEqual({ value: { level: 3 }, inside: 1, fetched: 1 });
  },
);
