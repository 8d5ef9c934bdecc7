import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialTls, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { GameServer } from "../support/game-server.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { type Ran, run } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";

// Who is banned at one gateway is banned at all; a client's address is chosen among those of the loopback.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** `chat` answers lines, `raw` is relayed, `proxied` reads PROXY headers, `mqtt` and `secure` know more of their clients. */
const config = (peer: TestServer, shared: string): string => `
  import { content, defineGateway, on, otherwise, proxy, registry } from "restyconf";
  import { mqtt } from "restyconf/preread";
  const chat = content(async (session) => {
    for (let line = await session.reader.receive(); line.data; line = await session.reader.receive()) {
      const [word, whom] = String(line.data).split(" ");
      const { bans } = session.worker;
      if (word === "ban") await session.write(JSON.stringify(await bans.add(whom, { ttlMs: 60_000, reason: "by a hook" })) + "\\n");
      else if (word === "unban") await session.write((await bans.remove(whom)) + "\\n");
      else if (word === "list") await session.write(JSON.stringify(bans.list()) + "\\n");
      else await session.write(session.id + " " + session.worker.number + "\\n");
    }
  });
  export default defineGateway({
    ${shared}
    workers: 2,
    upstreams: { echo: { peers: ["${peer.address}"] }, game: { peers: registry("game") } },
    servers: {
      chat: { listen: "127.0.0.1:0", routes: [otherwise(chat)] },
      raw: { listen: "127.0.0.1:0", routes: [on(mqtt(), proxy("echo")), otherwise(proxy("echo"))] },
      proxied: { listen: "127.0.0.1:0", proxyProtocol: { trust: ["127.0.0.0/8"] }, routes: [otherwise(proxy("echo"))] },
      secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(proxy("echo"))],
        phases: { set: { tenant: (session) => session.ssl?.serverName?.split(".")[0] } } },
    },
  });`;

const PORTS = 4;

/** A machine that is busy answers later, and is not away. */
const TIMES = { connectTimeoutMs: 2_000, commandTimeoutMs: 3_000 };

function tell(gateway: Gateway, ...words: readonly string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

async function listed(gateway: Gateway): Promise<unknown[]> {
  const { stdout } = await tell(gateway, "bans");
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** A client with an address of its own. */
async function dial(port: number, localAddress = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function ask(socket: Socket, line = "?"): Promise<string> {
  socket.write(`${line}\n`);
  return (await readUntil(socket, (text) => text.endsWith("\n"))).trim();
}

/** True when the gateway closes without a word; where it does not, it serves. */
async function isTurnedAway(port: number, address: string): Promise<boolean> {
  const socket = await dial(port, address);
  const closed = readAll(socket).then((bytes) => bytes.length === 0);
  const answer = await Promise.race([closed, sleep(3_000, false)]);
  socket.destroy();
  return answer;
}

/** All workers of a gateway know it: each of several clients comes to one of them. */
function areTurnedAway(port: number, address: string): Promise<void> {
  return eventually(async () => {
    for (let count = 0; count < 8; count++) expect(await isTurnedAway(port, address)).toBe(true);
  });
}

async function isServed(port: number, address: string): Promise<boolean> {
  const socket = await dial(port, address);
  socket.write("?\n");
  const text = await readUntil(socket, (read) => read.endsWith("\n"));
  socket.destroy();
  return text !== "";
}

function files(): Promise<Record<string, string>> {
  return certificateFiles("acme.test", "other.test");
}

describe("two gateways of two workers on one Redis", () => {
  const open: AsyncDisposable[] = [];
  let redis: RedisServer;
  let a: Gateway;
  let b: Gateway;
  let start: () => Promise<Gateway>;
  let server: GameServer;

  beforeAll(async () => {
    redis = await RedisServer.start();
    const peer = await echo();
    server = new GameServer();
    const times = { url: redis.url, ...TIMES };
    const made = await files();
    await redis.cli("SET", "restyconf:service:game:a", JSON.stringify({ address: await server.address() }));
    start = () => Gateway.start(config(peer, `redis: ${JSON.stringify(times)},`), { ports: PORTS, files: made });
    [a, b] = [await start(), await start()];
    open.push(redis, peer, server, a, b);
    await server.heard({ type: "hello" }, 4);
  });
  afterAll(async () => {
    for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  });

  afterEach(async () => {
    for (const key of (await redis.cli("KEYS", "restyconf:ban:*")).split("\n").filter(Boolean)) {
      await redis.cli("DEL", key);
      await redis.cli("PUBLISH", "restyconf:changes", key.replace("restyconf:", ""));
    }
    for (const gateway of [a, b]) await eventually(async () => expect(await listed(gateway)).toEqual([]), 20_000);
  });

  test("a ban by the command line at one ends sessions at the other, and turns new ones away, until it is taken back", async () => {
    const talking = await Promise.all(Array.from({ length: 6 }, () => dial(b.port("chat"), "127.0.0.7")));
    const relayed = await dial(b.port("raw"), "127.0.0.7");
    const silent = await dial(b.port("raw"), "127.0.0.7");
    const friend = await dial(b.port("chat"), "127.0.0.8");
    for (const socket of [...talking, relayed, friend]) await ask(socket);
    const done = await tell(a, "ban", "127.0.0.7", "--for", "10m", "--reason", "spam");
    expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/^banned \{"whom":"127\.0\.0\.7"/) });
    const told = performance.now();
    for (const socket of [...talking, relayed, silent]) await readAll(socket);
    expect(performance.now() - told).toBeLessThan(4_000); // milliseconds, and what a busy machine adds
    for (const port of [a.port("chat"), b.port("chat"), b.port("raw"), b.port("secure"), a.port("proxied")])
      await areTurnedAway(port, "127.0.0.7");
    await ask(friend);
    await eventually(async () =>
      expect(await listed(b)).toMatchObject([{ whom: "127.0.0.7", reason: "spam", until: expect.any(String) }]),
    );
    const own = (line: LogLine): boolean => line["remote_addr"] === "127.0.0.7";
    const killed = (): LogLine[] => b.log.filter((line) => line["end_cause"] === "killed" && own(line));
    await eventually(() => expect(killed().length).toBeGreaterThanOrEqual(7)); // who has said nothing yet is turned away instead
    expect(await b.access((line) => own(line) && line["end_cause"] === "rejected")).toMatchObject({
      code: "RC_BANNED",
      status: 403,
      bytes_received: 0,
      bytes_sent: 0,
      reason: "banned: 127.0.0.7, spam",
    });
    expect(await tell(b, "unban", "127.0.0.7")).toMatchObject({ code: 0, stdout: "unbanned 127.0.0.7\n" });
    await eventually(async () => expect(await isServed(a.port("chat"), "127.0.0.7")).toBe(true));
    expect(await tell(b, "unban", "127.0.0.7")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is not banned"),
    });
    friend.destroy();
  });

  test("a ban lapses at all when its time is over", async () => {
    const { stdout } = await tell(a, "ban", "127.0.9.0/24", "--for", "8s");
    const until = Date.parse(JSON.parse(stdout.replace("banned ", "")).until);
    await areTurnedAway(b.port("chat"), "127.0.9.9");
    await eventually(async () => expect(await isServed(b.port("chat"), "127.0.9.9")).toBe(true));
    const servedAt = Date.now();
    expect(servedAt).toBeGreaterThanOrEqual(until - 2); // timers count whole milliseconds
    expect(servedAt).toBeLessThan(until + 5_000);
    await eventually(async () => expect(await listed(b)).toEqual([]));
  });

  test("redis-cli bans as well; what is no ban is ignored", async () => {
    await redis.cli("SET", "restyconf:ban:127.0.10.0/24", '{"reason":"by hand"}', "EX", "600");
    await redis.cli("SET", "restyconf:ban:127.0.0.1/8", "{}");
    await redis.cli("SET", "restyconf:ban:127.0.0.1", "not JSON");
    await redis.cli("PUBLISH", "restyconf:changes", "ban:127.0.10.0/24");
    await areTurnedAway(b.port("raw"), "127.0.10.3");
    await b.line((line) => String(line["msg"]).startsWith("ban:127.0.0.1"));
    expect(await isServed(b.port("chat"), "127.0.0.1")).toBe(true);
    await redis.cli("DEL", "restyconf:ban:127.0.10.0/24", "restyconf:ban:127.0.0.1/8", "restyconf:ban:127.0.0.1");
    await eventually(async () => expect(await listed(a)).toEqual([])); // with the next full sync
  });

  test("the address that a PROXY header tells is banned like a socket's", async () => {
    const header = (address: string): string => `PROXY TCP4 ${address} 192.0.2.1 40000 5050\r\n`;
    const client = await dial(a.port("proxied"));
    client.write(`${header("203.0.113.7")}hello`);
    await readUntil(client, (text) => text === "hello");
    await tell(b, "ban", "subnet=203.0.113.7");
    expect(await readAll(client)).toHaveLength(0);
    await eventually(async () => {
      const again = await dial(a.port("proxied"));
      again.end(`${header("203.0.113.99")}hello`);
      expect(await readAll(again)).toHaveLength(0);
    });
    const other = await dial(a.port("proxied"));
    other.write(`${header("203.0.114.7")}hello`);
    await readUntil(other, (text) => text === "hello");
    for (const socket of [client, other]) socket.destroy();
    await tell(b, "unban", "203.0.113.0/24");
  });

  test("who is banned by a key is told so in his protocol", async () => {
    const hello = Buffer.from("101100044d5154540402003c0005626f742d37", "hex"); // MQTT 3.1.1 CONNECT of bot-7
    const living = await dial(b.port("raw"));
    living.write(hello);
    await readUntil(living, (text) => text.length === hello.length);
    await tell(a, "ban", "clientId=bot-7", "--reason", "cheats");
    await readAll(living);
    await eventually(async () => {
      const refused = await dial(b.port("raw"));
      refused.end(hello);
      expect((await readAll(refused)).toString("hex")).toBe("20020005"); // not authorized
    });
    expect(await b.access((line) => line["code"] === "RC_BANNED" && line["protocol"] === "mqtt")).toMatchObject({
      end_cause: "rejected",
      reason: "banned: clientId=bot-7, cheats",
    });
    await tell(a, "unban", "clientId=bot-7");
    living.destroy();

    const [own, other] = [
      await dialTls(b.port("secure"), { servername: "acme.test" }),
      await dialTls(b.port("secure"), { servername: "other.test" }),
    ];
    for (const [whom, socket] of [
      ["serverName=ACME.test", own],
      ["var:tenant=other", other],
    ] as const) {
      socket.write("x");
      await readUntil(socket, (text) => text === "x");
      await tell(a, "ban", whom);
      await readAll(socket);
    }
    const tls = (servername: string) => dialTls(a.port("secure"), { servername });
    await eventually(() => expect(tls("acme.test")).rejects.toThrow(/alert/));
    await eventually(async () => {
      const late = await tls("other.test");
      late.end("x");
      expect(await readAll(late)).toHaveLength(0);
    });
    for (const whom of ["serverName=acme.test", "var:tenant=other"]) await tell(b, "unban", whom);
    for (const socket of [own, other]) socket.destroy();
  });

  test("a hook bans at all gateways", async () => {
    const [one, other] = [await dial(a.port("chat")), await dial(b.port("chat"))];
    const victim = await dial(b.port("chat"), "127.0.0.11");
    await ask(victim);
    expect(JSON.parse(await ask(one, "ban 127.0.0.11"))).toMatchObject({ whom: "127.0.0.11", reason: "by a hook" });
    await readAll(victim);
    await eventually(async () => expect(await ask(other, "list")).toContain('"127.0.0.11"'));
    expect(await ask(other, "unban 127.0.0.11")).toBe("true");
    await eventually(async () => expect(await ask(one, "list")).toBe("[]"));
    for (const socket of [one, other, victim]) socket.destroy();
  });

  test("a game server bans over its link, by a session's address and by value", async () => {
    const victim = await dial(a.port("chat"), "127.0.12.5");
    const [session] = (await ask(victim)).split(" ");
    const neighbour = await dial(b.port("chat"), "127.0.12.6");
    await ask(neighbour);
    const answers = await server.ask({ type: "ban", session, by: "subnet", ttl_ms: 60_000, reason: "aimbot" }, 4);
    expect(answers.map(({ type }) => type).sort()).toEqual(["done", "refused", "refused", "refused"]);
    await Promise.all([readAll(victim), readAll(neighbour)]);
    await eventually(async () => expect(await listed(b)).toMatchObject([{ whom: "127.0.12.0/24", reason: "aimbot" }]));
    const other = await dial(b.port("chat"), "127.0.13.5");
    await ask(other);
    expect(await server.ask({ type: "ban", whom: "127.0.13.5" }, 4)).toMatchObject(Array(4).fill({ type: "done" }));
    await readAll(other);
    const taken = await server.ask({ type: "unban", whom: "127.0.13.5" }, 4);
    expect(taken.map(({ type }) => type).sort()).toEqual(["done", "refused", "refused", "refused"]);
    await eventually(async () => expect(await isServed(b.port("chat"), "127.0.13.5")).toBe(true));
    expect((await tell(a, "unban", "127.0.12.0/24")).code).toBe(0);
    for (const socket of [victim, neighbour, other]) socket.destroy();
  });

  test("docs/bans.md: its commands print what it says", async () => {
    const page = readFileSync(new URL("../../docs/bans.md", import.meta.url), "utf8");
    const [, block = ""] = /## By the command line\n\n```\n([\s\S]*?)```/.exec(page) ?? [];
    const timeless = (text: string): string => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");
    const steps = block.split(/^\$ restyconf /m).slice(1);
    expect(steps).toHaveLength(3);
    for (const step of steps) {
      const [line = "", ...printed] = step.trimEnd().split("\n");
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word = ""]) => quoted ?? word);
      const { stdout } = await tell(a, ...words);
      expect(timeless(stdout.trimEnd()), line).toBe(timeless(printed.join("\n")));
    }
  });

  test("wrong words are wrong usage", async () => {
    for (const words of [["ban", "nobody"], ["ban", "127.0.0.1", "--for", "soon"], ["unban", "x"], ["ban"]])
      expect(await tell(a, ...words), words.join(" ")).toMatchObject({ code: 2, stdout: "" });
  });

  test("while Redis is away bans hold, and nobody is turned away because of it; an emptied one gets them back", async () => {
    await tell(a, "ban", "127.0.0.21");
    await tell(a, "ban", "127.0.0.22", "--for", "1h");
    const friend = await dial(b.port("chat"), "127.0.0.30");
    await ask(friend);
    for (const gateway of [a, b])
      for (const address of ["127.0.0.21", "127.0.0.22"]) await areTurnedAway(gateway.port("chat"), address);
    redis.pause();
    const began = performance.now();
    for (const gateway of [a, b]) {
      expect(await isTurnedAway(gateway.port("chat"), "127.0.0.21")).toBe(true);
      expect(await isServed(gateway.port("chat"), "127.0.0.30")).toBe(true);
    }
    expect(performance.now() - began).toBeLessThan(TIMES.commandTimeoutMs); // nobody waits for Redis
    expect(await tell(a, "ban", "127.0.0.23")).toMatchObject({ code: 1, stderr: expect.stringContaining("registry") });
    expect(await isServed(b.port("chat"), "127.0.0.23")).toBe(true);
    redis.resume();
    await redis.kill();
    await redis.start();
    await eventually(async () => expect(await redis.cli("KEYS", "restyconf:ban:*")).toContain("127.0.0.21"));
    await eventually(async () => expect(await redis.cli("KEYS", "restyconf:ban:*")).toContain("127.0.0.22"));
    expect(await redis.cli("TTL", "restyconf:ban:127.0.0.21")).toBe("-1");
    expect(Number(await redis.cli("TTL", "restyconf:ban:127.0.0.22"))).toBeGreaterThan(3_000);
    for (const gateway of [a, b]) expect(await isTurnedAway(gateway.port("chat"), "127.0.0.21")).toBe(true);
    await ask(friend);
    friend.destroy();
    await using later = await start();
    expect(await isTurnedAway(later.port("chat"), "127.0.0.22")).toBe(true);
  }, 60_000);
});

test("a Redis that is killed and comes back with older data gets the newest bans back, and none that was taken back", async () => {
  await using redis = await RedisServer.start();
  await using peer = await echo();
  const times = { url: redis.url, ...TIMES };
  const made = await files();
  const start = (): Promise<Gateway> =>
    Gateway.start(config(peer, `redis: ${JSON.stringify(times)},`), { ports: PORTS, files: made });
  await using a = await start();
  await using b = await start();
  await tell(a, "ban", "127.0.0.41");
  await tell(a, "ban", "127.0.0.42");
  for (const gateway of [a, b]) await areTurnedAway(gateway.port("chat"), "127.0.0.42");
  await redis.cli("SET", "older", "yes");
  expect(await redis.cli("SAVE")).toBe("OK");
  await redis.cli("DEL", "older");
  await tell(b, "ban", "127.0.0.43", "--reason", "new");
  await tell(b, "unban", "127.0.0.42");
  for (const gateway of [a, b]) await areTurnedAway(gateway.port("chat"), "127.0.0.43");
  await redis.kill();
  await redis.start();
  expect(await redis.cli("GET", "older")).toBe("yes"); // the bans are those of that time, too, until a gateway is back
  const banned = async (): Promise<string[]> => (await redis.cli("KEYS", "restyconf:ban:*")).split("\n").sort();
  await eventually(async () => {
    for (const gateway of [a, b]) expect(await isServed(gateway.port("chat"), "127.0.0.42")).toBe(true);
    expect(await banned()).toEqual(["restyconf:ban:127.0.0.41", "restyconf:ban:127.0.0.43"]);
  });
  await using later = await start();
  for (const gateway of [a, b, later]) {
    await areTurnedAway(gateway.port("chat"), "127.0.0.43");
    expect(await isServed(gateway.port("chat"), "127.0.0.42")).toBe(true);
    expect(await listed(gateway)).toMatchObject([{ whom: "127.0.0.41" }, { whom: "127.0.0.43", reason: "new" }]);
  }
}, 90_000);

test("without Redis the workers of a gateway hold the same bans, across a reload, their deaths and a restart", async () => {
  await using peer = await echo();
  const made = await files();
  await using gateway = await Gateway.start(config(peer, 'stateDir: "state",'), { ports: PORTS, files: made });
  await tell(gateway, "ban", "127.0.0.7");
  const holds = async (at: Gateway): Promise<void> => {
    await areTurnedAway(at.port("chat"), "127.0.0.7");
    expect(await isServed(at.port("chat"), "127.0.0.8")).toBe(true);
  };
  await holds(gateway);
  await tell(gateway, "reload");
  await holds(gateway);
  const { workers } = JSON.parse((await tell(gateway, "status")).stdout) as { workers: { pid: number }[] };
  process.kill(workers[0]?.pid ?? 0, "SIGKILL");
  await gateway.line((line) => line["msg"] === "worker replaced");
  await holds(gateway);
  await gateway.stop();
  await using again = await Gateway.startFile(join(gateway.folder, "restyconf.config.ts"), { ports: PORTS });
  await holds(again);
  expect(await tell(gateway, "unban", "127.0.0.7")).toMatchObject({ code: 0 });
  await eventually(async () => expect(await isServed(again.port("chat"), "127.0.0.7")).toBe(true));
});
