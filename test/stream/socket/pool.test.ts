import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { connect } from "../../../src/stream/socket/connect.ts";
import { open } from "../../../src/stream/socket/open.ts";
import { Pools } from "../../../src/stream/socket/pools.ts";
import type { StreamSocket } from "../../../src/stream/socket/socket.ts";
import { BlackHole } from "../../support/black-hole.ts";
import { eventually } from "../../support/eventually.ts";
import type { TestServer } from "../../support/servers.ts";
import { freePorts } from "../../support/service.ts";
import { closeAll, onlyClient, said, serving, socketTo } from "./socket-rig.ts";

afterEach(closeAll);

/** Echoes, and waits until it has seen so many clients go. */
async function left(server: TestServer, count: number): Promise<void> {
  await eventually(() => expect(server.sockets.size).toBe(count));
}

const echoing = (): Promise<TestServer> => serving((client) => client.pipe(client));

/** Proves which connection it is: each says its number. */
const numbered = (): Promise<TestServer> => {
  let number = 0;
  return serving((client) => {
    const own = `${++number}\n`;
    client.on("data", () => client.write(own)).on("end", () => client.end());
  });
};

async function numberOf(socket: StreamSocket): Promise<string> {
  await socket.send("?");
  return said(await socket.receive());
}

describe("setKeepalive(idleMs, size) and connect (§3.8)", () => {
  test("the same host and port gets the idle connection; getReusedTimes counts 1, 2, …; the kept socket is closed", async () => {
    const server = await echoing();
    const first = await socketTo(server.address);
    expect([first.getReusedTimes(), await first.setKeepalive()]).toEqual([0, { ok: true }]);
    expect([first.getReusedTimes(), await first.send("x")]).toEqual([{ err: "closed" }, { err: "closed" }]);
    const second = await socketTo(server.address);
    expect([second.getReusedTimes(), await second.setKeepalive()]).toEqual([1, { ok: true }]);
    const third = await socketTo(server.address);
    expect(third.getReusedTimes()).toBe(2);
    await third.send("works\n");
    expect(said(await third.receive())).toBe("works");
    expect(server.accepted).toBe(1);
  });

  test("connect takes the most recently returned idle connection", async () => {
    const server = await numbered();
    const [one, two, three] = [
      await socketTo(server.address),
      await socketTo(server.address),
      await socketTo(server.address),
    ];
    for (const socket of [one, three, two]) {
      await numberOf(socket);
      expect(await socket.setKeepalive()).toEqual({ ok: true });
    }
    const again = [await socketTo(server.address), await socketTo(server.address), await socketTo(server.address)];
    expect([await numberOf(again[0] as StreamSocket), await numberOf(again[1] as StreamSocket)]).toEqual(["2", "3"]);
    expect(await numberOf(again[2] as StreamSocket)).toBe("1");
  });

  test("a pool has the name that it was given, text or number; another address may share it, another name may not", async () => {
    const [here, there] = [await numbered(), await numbered()];
    await (await socketTo(here.address, { pool: "shared" })).setKeepalive();
    expect((await socketTo(here.address)).getReusedTimes()).toBe(0);
    expect((await socketTo(there.address, { pool: "shared" })).getReusedTimes()).toBe(1);
    await (await socketTo(here.address, { pool: 7 })).setKeepalive();
    expect((await socketTo(here.address, { pool: "7" })).getReusedTimes()).toBe(1);
  });

  test("without backlog the size bounds idle ones only, and the least recently used one is closed for a new one", async () => {
    const server = await numbered();
    const sockets = [await socketTo(server.address), await socketTo(server.address), await socketTo(server.address)];
    for (const socket of sockets) await numberOf(socket);
    for (const socket of sockets) expect(await socket.setKeepalive(0, 2)).toEqual({ ok: true });
    await left(server, 2);
    const again = [await socketTo(server.address), await socketTo(server.address)];
    expect([await numberOf(again[0] as StreamSocket), await numberOf(again[1] as StreamSocket)]).toEqual(["3", "2"]);
  });

  test("the size is fixed when the pool is made; later different sizes are ignored", async () => {
    const server = await echoing();
    const sockets = [await socketTo(server.address, { poolSize: 1 }), await socketTo(server.address, { poolSize: 9 })];
    for (const socket of sockets) expect(await socket.setKeepalive(0, 9)).toEqual({ ok: true });
    await left(server, 1);
  });

  test("a pool vanishes with its last connection: the next one may have another size", async () => {
    const server = await echoing();
    (await socketTo(server.address, { poolSize: 1, backlog: 0 })).close();
    const sockets = [await socketTo(server.address, { poolSize: 2, backlog: 0 }), await socketTo(server.address)];
    expect(sockets).toHaveLength(2);
    expect(await connect(server.address)).toEqual({ err: "too many waiting connect operations" });
  });

  test("idle time over: dropped; 0 keeps it", async () => {
    const server = await echoing();
    await (await socketTo(server.address, { pool: "short" })).setKeepalive(20);
    await (await socketTo(server.address, { pool: "long" })).setKeepalive(0);
    await eventually(() => expect(server.accepted).toBe(2));
    await left(server, 1);
    expect((await socketTo(server.address, { pool: "short" })).getReusedTimes()).toBe(0);
    expect((await socketTo(server.address, { pool: "long" })).getReusedTimes()).toBe(1);
  });

  test.each([
    ["an end", (server: TestServer) => onlyClient(server).then((client) => client.end())],
    ["unexpected data", (server: TestServer) => onlyClient(server).then((client) => client.write("surprise"))],
    ["a reset", (server: TestServer) => onlyClient(server).then((client) => client.resetAndDestroy())],
  ])("an idle connection that becomes readable is dropped at once: %s", async (_, happens) => {
    const server = await echoing();
    await (await socketTo(server.address)).setKeepalive();
    await happens(server);
    await left(server, 0);
    expect((await socketTo(server.address)).getReusedTimes()).toBe(0);
  });

  test.each([0, -1, 1.5])("a size of %s throws", async (size) => {
    const socket = await socketTo((await echoing()).address);
    await expect(socket.setKeepalive(0, size)).rejects.toThrow(`bad "poolSize" option value: ${size}`);
  });

  test("a bad idle time throws", async () => {
    const socket = await socketTo((await echoing()).address);
    await expect(socket.setKeepalive(-1)).rejects.toThrow("bad timeout value: -1");
  });

  test("idle connections do not keep the process alive, however long their last read might have taken", async () => {
    const server = await echoing();
    const index = fileURLToPath(new URL("../../../src/stream/socket/connect.ts", import.meta.url));
    const code = `import { connect } from "${index}";
      const { socket } = await connect("${server.address}");
      await socket.send("line\\n");
      await socket.receive();
      console.log(JSON.stringify(await socket.setKeepalive(0)));`;
    const bundle = `const { buildSync } = await import("esbuild");
      const { outputFiles: [{ text }] } = buildSync({ stdin: { contents: ${JSON.stringify(code)}, resolveDir: "." }, bundle: true,
        platform: "node", format: "esm", write: false });
      await import("data:text/javascript," + encodeURIComponent(text));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", bundle], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const beganAt = performance.now();
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk));
    const [code_] = await once(child, "close");
    expect([code_, out.trim()]).toEqual([0, '{"ok":true}']);
    expect(performance.now() - beganAt).toBeLessThan(45_000); // that read might have taken a minute
  });
});

describe("refusals of setKeepalive (§3.8)", () => {
  test("`closed`: either half closed", async () => {
    const server = await serving((client) => void client.end());
    const ended = await socketTo(server.address);
    await ended.receive();
    expect(await ended.setKeepalive()).toEqual({ err: "closed" });
    const shut = await socketTo((await echoing()).address);
    shut.shutdown("send");
    expect(await shut.setKeepalive()).toEqual({ err: "closed" });
  });

  test("`unread data in buffer`: bytes already in ours; when they are read it may be kept", async () => {
    const socket = await socketTo((await serving((client) => void client.write("line\nrest"))).address);
    await socket.receive();
    expect(await socket.setKeepalive()).toEqual({ err: "unread data in buffer" });
    expect(said(await socket.receive(4))).toBe("rest");
    expect(await socket.setKeepalive()).toEqual({ ok: true });
  });

  test.each([
    ["bytes", "surprise", false],
    ["an end", "", true],
  ])("`connection in dubious state`: %s already in the kernel", async (_, text, ends) => {
    const server = await echoing();
    const socket = await socketTo(server.address);
    const client = await onlyClient(server);
    await new Promise<void>((resolve) => (ends ? client.end(resolve) : client.write(text, () => resolve())));
    expect(await socket.setKeepalive()).toEqual({ err: "connection in dubious state" });
    expect(socket.close()).toEqual({ ok: true });
  });

  test("after a refusal the socket is as it was: what came is read", async () => {
    const server = await echoing();
    const socket = await socketTo(server.address);
    (await onlyClient(server)).write("late answer\n");
    expect(await socket.setKeepalive()).toEqual({ err: "connection in dubious state" });
    expect(said(await socket.receive())).toBe("late answer");
    expect(await socket.setKeepalive()).toEqual({ ok: true });
  });

  test("while it asks the kernel, the socket is closed to everybody else", async () => {
    const socket = await socketTo((await echoing()).address);
    const kept = socket.setKeepalive();
    expect([await socket.send("x"), socket.close(), (await socket.receive()).err]).toEqual([
      { err: "closed" },
      { err: "closed" },
      "closed",
    ]);
    expect(await kept).toEqual({ ok: true });
  });

  test("a busy socket is not kept", async () => {
    const socket = await socketTo((await serving((client) => void client.pause())).address, { sendMs: 200 });
    const large = socket.send(Buffer.alloc(20_000_000));
    expect(await socket.setKeepalive()).toEqual({ err: "socket busy writing" });
    expect(await large).toEqual({ err: "timeout" });
  });

  test("a signal that ends does not close what is back in the pool, and closes what is not", async () => {
    const ending = new AbortController();
    const server = await echoing();
    const kept = await socketTo(server.address, { signal: ending.signal });
    await socketTo(server.address, { signal: ending.signal });
    await kept.setKeepalive();
    ending.abort();
    await left(server, 1);
    expect((await socketTo(server.address)).getReusedTimes()).toBe(1);
  });

  test("while the process ends, setkeepalive silently closes", async () => {
    const pools = new Pools();
    const server = await echoing();
    const endpoint = { kind: "tcp", host: "127.0.0.1", port: server.port } as const;
    const { connection } = await open(endpoint, { timeoutMs: 60_000, signal: undefined, localAddress: undefined });
    const { slot } = await pools.acquire("key", { size: 1, backlog: 0 }, { timeoutMs: 1, signal: undefined });
    if (!connection || !slot) throw new Error("no connection");
    await left(server, 1);
    pools.close();
    pools.keep("key", connection, { slot, idleMs: 0, size: undefined });
    await left(server, 0);
  });
});

describe("backlog (§3.8)", () => {
  test("at most poolSize connections; further ones wait in line, in order, and the queue has an end", async () => {
    const server = await echoing();
    const limits = { poolSize: 1, backlog: 2 };
    const first = await socketTo(server.address, limits);
    const order: string[] = [];
    const second = socketTo(server.address, limits).finally(() => order.push("second"));
    const third = socketTo(server.address, limits).finally(() => order.push("third"));
    expect(await connect(server.address, limits)).toEqual({ err: "too many waiting connect operations" });
    expect(await first.setKeepalive()).toEqual({ ok: true });
    const taken = await second;
    expect([taken.getReusedTimes(), server.accepted]).toEqual([1, 1]);
    taken.close(); // its place is free, the connection is gone
    expect((await third).getReusedTimes()).toBe(0);
    expect(order).toEqual(["second", "third"]);
    await eventually(() => expect(server.accepted).toBe(2)); // the kernel accepts sooner than the server does
  });

  test("backlog 0: nobody waits", async () => {
    const server = await echoing();
    await socketTo(server.address, { poolSize: 1, backlog: "0" });
    expect(await connect(server.address)).toEqual({ err: "too many waiting connect operations" });
  });

  test("backlog without poolSize: the default size, 30", async () => {
    const server = await echoing();
    for (let count = 0; count < 30; count++) await socketTo(server.address, { backlog: 0 });
    expect(await connect(server.address, { backlog: 0 })).toEqual({ err: "too many waiting connect operations" });
  });

  test("a wait longer than the connect timeout: `timeout`", async () => {
    const server = await echoing();
    const limits = { poolSize: 1, backlog: 1 };
    const first = await socketTo(server.address, limits);
    expect(await connect(server.address, { ...limits, connectMs: 40 })).toEqual({ err: "timeout" });
    first.close();
    expect((await socketTo(server.address, limits)).getReusedTimes()).toBe(0);
  });

  test("a wait that is aborted leaves the line", async () => {
    const server = await echoing();
    const ending = new AbortController();
    const limits = { poolSize: 1, backlog: 1 };
    const first = await socketTo(server.address, limits);
    const waiting = connect(server.address, { ...limits, signal: ending.signal });
    ending.abort();
    expect(await waiting).toEqual({ err: "aborted" });
    const next = socketTo(server.address, limits);
    first.close();
    expect((await next).getReusedTimes()).toBe(0);
  });

  test("failed connects do not consume a place, and wake the next in line", async () => {
    const [port] = await freePorts(1);
    const limits = { poolSize: 1, backlog: 5 };
    const tries = Array.from({ length: 5 }, () => connect(`127.0.0.1:${port}`, limits));
    expect(await Promise.all(tries)).toEqual(Array(5).fill({ err: "connection refused" }));
    await using hole = await BlackHole.open();
    const late = [1, 2].map(() => connect(`127.0.0.1:${hole.port}`, { ...limits, connectMs: 60 }));
    expect(await Promise.all(late)).toEqual([{ err: "timeout" }, { err: "timeout" }]);
  });

  test("an idle connection that goes makes room for who waits", async () => {
    const server = await echoing();
    const limits = { poolSize: 2, backlog: 1 };
    const [one, two] = [await socketTo(server.address, limits), await socketTo(server.address, limits)];
    const waiting = socketTo(server.address, limits);
    two.close();
    expect((await waiting).getReusedTimes()).toBe(0);
    expect(await one.setKeepalive()).toEqual({ ok: true });
  });
});
