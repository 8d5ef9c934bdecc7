import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { run } from "../support/programs.ts";
import { echo, TestServer } from "../support/servers.ts";

// What clients see of limits: who is turned away, in which words; who waits; and how fast bytes go.

const HUGE = Buffer.alloc(600_000, "x");

let gateway: Gateway;
let peer: TestServer;
let source: TestServer;

beforeAll(async () => {
  peer = await echo();
  source = await TestServer.open((socket) => void socket.end(HUGE));
  gateway = await Gateway.start(config(peer.address, source.address), { ports: 13, files: await certificateFiles() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
});

const config = (echoAddress: string, sourceAddress: string): string => `
import { content, defineGateway, dispatch, on, otherwise, proxy, silent } from "restyconf";
import { bytes, http, mqtt, tls } from "restyconf/preread";
const routes = [on(http(), content(async (session) => { await session.write("HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nok\\n"); })),
  on(mqtt(), proxy("echo")), otherwise(proxy("echo"))];
const once = { count: 1, windowMs: 600_000 };
export default defineGateway({
  upstreams: { echo: { peers: ["${echoAddress}"] }, source: { peers: ["${sourceAddress}"] } },
  servers: {
    places: { listen: "127.0.0.1:0", routes, limits: [{ conn: 2, per: "address" }] },
    turns: { listen: "127.0.0.1:0", routes, limits: [{ req: 0.4, burst: 1, per: "subnet" }] },
    often: { listen: "127.0.0.1:0", routes, limits: [{ ...once, per: "address", status: 429 }] },
    names: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: "." }, routes, limits: [{ ...once, per: "serverName" }, { ...once, name: "nobody", per: "ja4", dryRun: true }] },
    early: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes, limits: [{ ...once, per: "address" }] },
    route: { listen: "127.0.0.1:0", routes: [
      on(mqtt(), proxy("echo"), { limits: [{ ...once, per: "clientId" }] }), on(bytes("kind"), proxy("echo"), { limits: [{ ...once, per: { var: "kind" } }] }),
      on(bytes("own"), proxy("echo"), { limits: [{ capacity: 1, intervalMs: 600_000, per: (session) => session.protocol }] }),
      on(bytes("inner"), dispatch("inner")), on(bytes("broken"), proxy("echo"), { limits: [{ ...once, per: () => { throw new Error("no key"); } }] }),
      otherwise(proxy("echo"), { limits: [{ ...once, per: "address" }] }) ], phases: { set: { kind: () => "one" } } },
    inner: { listen: [], routes, limits: [{ ...once, per: "address" }] },
    behind: { listen: "127.0.0.1:0", proxyProtocol: { trust: ["127.0.0.1"] }, routes, limits: [{ ...once, per: "address" }] },
    waits: { listen: "127.0.0.1:0", routes, limits: [{ req: 0.01, burst: 1_000, per: "address" }] },
    dry: { listen: "127.0.0.1:0", routes, limits: [{ ...once, per: "address", dryRun: true }] },
    both: { listen: "127.0.0.1:0", routes, limits: [{ count: 2, windowMs: 600_000, per: "address", dryRun: true }, { ...once, per: "address", name: "both" }] },
    slow: { listen: "127.0.0.1:0", routes: [silent(0, proxy("source"))], limits: [{ bytesPerSecond: 500_000, per: "session" }] },
    shared: { listen: "127.0.0.1:0", routes: [silent(0, proxy("source"))], limits: [{ bytesPerSecond: { down: 1_000_000 }, per: "address" }] },
    filtered: { listen: "127.0.0.1:0", routes: [silent(0, proxy("source"))], limits: [{ bytesPerSecond: 500_000, per: "session" }], phases: { bodyFilter: { upstream: (chunk) => chunk } } },
  },
});`;

/** A session that is relayed, and stays; it waits for a place where those of the test before have just left. */
async function stay(port: number): Promise<Socket> {
  return eventually(async () => {
    const socket = await dialIn(port);
    socket.write("\0hello");
    expect(await readUntil(socket, (got) => got.length >= 6)).toBe("\0hello");
    return socket;
  });
}

const limited = (server: string) =>
  gateway.access((line) => line["server"] === server && line["end_cause"] === "limited");
const url = (server: string): string => `http://127.0.0.1:${gateway.port(server)}/`;

describe("sessions at once", () => {
  test("curl is told 503 and when to come again while all places are taken, and served when one is free", async () => {
    const port = gateway.port("places");
    const [one, other] = [await stay(port), await stay(port)];
    const { stdout } = await run("curl", ["-s", "-i", url("places")]);
    expect(stdout).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    expect(stdout).toContain("\r\nRetry-After: 1\r\n");
    expect(stdout.endsWith("\r\n\r\ntoo many connections\n")).toBe(true);
    expect(await limited("places")).toMatchObject({
      end_cause: "limited",
      status: 503,
      code: "RC_LIMITED",
      reason: "limit reached: conn 2 per address 127.0.0.1",
    });
    one.destroy();
    await eventually(async () => expect((await run("curl", ["-s", url("places")])).stdout).toBe("ok\n"));
    other.destroy();
  });

  test.each([
    ["mqttv311", "unavailable"],
    ["mqttv5", "Server unavailable|Server busy|Quota exceeded"],
  ])("mosquitto_pub speaking %s is told: %s", async (version, words) => {
    const held = [await stay(gateway.port("places")), await stay(gateway.port("places"))];
    const args = ["-p", String(gateway.port("places")), "-V", version, "-i", "any", "-t", "a", "-m", "b"];
    expect((await run("mosquitto_pub", args)).stderr).toMatch(new RegExp(words, "i"));
    for (const socket of held) socket.destroy();
  });
});

test("a client that is refused and says nothing does not stay", async () => {
  const held = [await stay(gateway.port("places")), await stay(gateway.port("places"))];
  const began = performance.now();
  const silent = await dialIn(gateway.port("places"));
  expect((await readAll(silent)).length).toBe(0);
  expect(performance.now() - began).toBeLessThan(25_000); // one that stays has ten minutes
  for (const socket of held) socket.destroy();
});

describe("sessions per second", () => {
  test("the first goes at once, the second waits for its turn, the third is turned away", async () => {
    const clients = await Promise.all([1, 2, 3].map(() => dialIn(gateway.port("turns"))));
    const began = performance.now();
    const took = async (socket: Socket): Promise<readonly [string, number]> => {
      const [, body = ""] = (await readAll(socket)).toString().split("\r\n\r\n");
      return [body, performance.now() - began];
    };
    for (const socket of clients) socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); // all three before a turn is over
    const answers = await Promise.all(clients.map(took));
    expect(answers.map(([text]) => text).sort()).toEqual(["ok\n", "ok\n", "too many attempts\n"]);
    for (const socket of clients) socket.destroy();
    expect(Math.max(...answers.map(([, ms]) => ms))).toBeGreaterThan(2_450);
    expect((await limited("turns"))["reason"]).toBe("limit reached: req 0.4 per subnet 127.0.0.0/24");
  });

  test("a client that resets while it waits is gone", async () => {
    const port = gateway.port("waits");
    expect(await exchange(port, "first")).toBe("first");
    await eventually(async () => {
      const waiting = await dialIn(port);
      await new Promise((resolve) => waiting.write("\0second", resolve));
      await sleep(20); // when that was too short, once more
      waiting.resetAndDestroy();
      const gone = gateway.log.find(({ reason }) => String(reason).endsWith("while it waited for its turn"));
      expect(gone).toMatchObject({ server: "waits", code: "RC_CLIENT_RESET", end_cause: "client_reset" });
    });
  });

  test("a stop of the gateway does not wait for those who wait", async () => {
    await using stopped = await Gateway.start(`
import { defineGateway, otherwise, reject } from "restyconf";
export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("closed"))],
  limits: [{ req: 0.001, burst: 9, per: "address" }] } } });`);
    await exchange(stopped.port(), "first");
    const waiting = await dialIn(stopped.port());
    waiting.write("second");
    const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
    const list = () =>
      run(process.execPath, [cli, "sessions", "--config", join(stopped.folder, "restyconf.config.ts")]);
    await eventually(async () => expect((await list()).stdout).toContain("127.0.0.1"));
    const closed = readAll(waiting);
    expect(await stopped.stop()).toBe(0);
    await closed;
    expect(stopped.log.at(-1)).toMatchObject({ end_cause: "shutdown" });
  });
});

describe("sessions in a window", () => {
  test("whoever was let in once is told when the window ends, with the status that the limit has", async () => {
    expect((await run("curl", ["-s", url("often")])).stdout).toBe("ok\n");
    const { stdout } = await run("curl", ["-s", "-i", url("often")]);
    expect(stdout).toMatch(/^HTTP\/1\.1 429 Too Many Requests\r\n/);
    const seconds = Number(/Retry-After: (\d+)/.exec(stdout)?.[1]);
    expect(seconds).toBeGreaterThan(590);
    expect(seconds).toBeLessThanOrEqual(600);
    expect((await limited("often"))["status"]).toBe(429);
  });

  test("are counted by the address that a PROXY header tells", async () => {
    const port = gateway.port("behind");
    const from = (host: string): string => `PROXY TCP4 ${host} 127.0.0.1 1000 80\r\nhello`;
    expect(await exchange(port, from("10.0.0.1"))).toBe("hello");
    expect(await exchange(port, from("10.0.0.2"))).toBe("hello");
    expect(await exchange(port, from("10.0.0.1"))).toMatch(/^too many attempts; try again in \d+ s\r\n$/);
  });

  test("a dry run lets everybody in, and says whom it would not have", async () => {
    for (const text of ["first", "second"]) expect(await exchange(gateway.port("dry"), text)).toBe(text);
    const line = await gateway.line(({ msg }) => msg === "limit would refuse");
    expect(line).toMatchObject({ level: "info", server: "dry", limit: "count 1 per address", key: "127.0.0.1" });
  });
});

describe("a session that one limit refuses", () => {
  test("is taken back by those that were asked before it, dry runs too", async () => {
    const port = gateway.port("both");
    expect(await exchange(port, "first")).toBe("first");
    for (const text of ["second", "third"]) expect(await exchange(port, text)).toMatch(/^too many attempts/);
    const isRefused = (line: LogLine): boolean => line["server"] === "both" && line["end_cause"] === "limited";
    await eventually(() => expect(gateway.log.filter(isRefused)).toHaveLength(2)); // what they say comes before that
    expect(gateway.log.filter(({ msg, server }) => msg === "limit would refuse" && server === "both")).toEqual([]);
  });
});

describe("TLS clients", () => {
  test("are counted by their server name before the handshake, and get an alert", async () => {
    const port = gateway.port("names");
    const hello = async (servername: string): Promise<string> => {
      const socket = await dialTls(port, { servername, rejectUnauthorized: false });
      socket.end("hello");
      return (await readAll(socket)).toString();
    };
    expect(await hello("one.test")).toBe("hello");
    expect(await hello("other.test")).toBe("hello");
    const { stderr } = await run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "ONE.test"]);
    expect(stderr).toMatch(/SSL alert number \d+/);
    expect((await limited("names"))["reason"]).toBe("limit reached: count 1 per serverName one.test");
    for (const text of ["plain", "clients"]) expect(await exchange(port, text)).toBe(text); // have no server name
    await gateway.line(({ msg, server }) => msg === "limit would refuse" && server === "names"); // by JA4: the same program
  });

  test("that are refused by their address get an alert before any handshake, and plain ones words", async () => {
    const port = gateway.port("early");
    (await dialTls(port, { rejectUnauthorized: false })).destroy();
    const { stderr } = await run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`]);
    expect(stderr).toMatch(/SSL alert number \d+/);
    expect(await exchange(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 /);
    expect(await limited("early")).toMatchObject({ end_cause: "limited", bytes_sent: expect.any(Number) });
  });
});

describe("limits of routes", () => {
  const twice = async (text: string): Promise<readonly string[]> => {
    const port = gateway.port("route");
    return [await exchange(port, text), await exchange(port, text)];
  };

  test("count what the sniffer has learned", async () => {
    const publish = async (id: string): Promise<string> => {
      const args = ["-p", String(gateway.port("route")), "-i", id, "-t", "a", "-m", "b"];
      return (
        await run("mosquitto_pub", args, { timeoutMs: 5_000 }).catch((cause: unknown) => ({ stderr: String(cause) }))
      ).stderr;
    };
    await publish("ann");
    expect(await publish("ann")).toContain("unavailable");
    expect(await publish("bob")).not.toContain("unavailable");
  });

  test.each([
    ["a variable", "kind"],
    ["a function", "own\n"],
    ["a server that it is dispatched to", "inner"],
    ["the route for all others", "xyz\n"],
  ])("hold by %s", async (_name, text) => {
    const [first, second] = await twice(text);
    expect(first).toBe(text);
    expect(second).toMatch(/^too many attempts/);
  });

  test("survive a reload with their counts, wherever the route stands then", async () => {
    const once = `{ limits: [{ count: 1, windowMs: 600_000, per: "address" }] }`;
    const config = (routes: string): string => `
import { defineGateway, on, proxy } from "restyconf";
import { bytes } from "restyconf/preread";
export default defineGateway({ upstreams: { echo: { peers: ["${peer.address}"] } },
  servers: { edge: { listen: "127.0.0.1:0", routes: [${routes}] } } });`;
    const old = `on(bytes("older"), proxy("echo"), ${once})`;
    await using reloaded = await Gateway.start(config(old));
    expect(await exchange(reloaded.port(), "older")).toBe("older");
    writeFileSync(
      join(reloaded.folder, "restyconf.config.ts"),
      config(`on(bytes("new"), proxy("echo"), ${once}), ${old}`),
    );
    reloaded.process.kill("SIGHUP");
    await reloaded.line(({ msg }) => msg === "reload done");
    expect(await exchange(reloaded.port(), "new")).toBe("new");
    expect(await exchange(reloaded.port(), "older")).toMatch(/^too many attempts/);
  });

  test("a key that cannot be computed is a hook that failed", async () => {
    expect(await exchange(gateway.port("route"), "broken")).not.toBe("broken");
    const line = await gateway.access(({ code, server }) => code === "RC_HOOK_FAILED" && server === "route");
    expect(line["reason"]).toBe("hook failed: limits: no key");
  });
});

describe("bandwidth", () => {
  const download = async (server: string): Promise<number> => {
    const began = performance.now();
    const socket = await dialIn(gateway.port(server));
    expect((await readAll(socket)).length).toBe(HUGE.length);
    socket.destroy();
    return performance.now() - began;
  };

  test.each(["slow", "filtered"])("of a session holds for each (%s)", async (server) => {
    const times = await Promise.all([download(server), download(server)]);
    expect(Math.min(...times)).toBeGreaterThan(900);
    expect(Math.max(...times)).toBeLessThan(20_000);
  });

  test("of a key is shared by its sessions", async () => {
    const began = performance.now();
    await Promise.all([download("shared"), download("shared"), download("shared")]);
    expect(performance.now() - began).toBeGreaterThan(1_300); // 1.8 MB at 1 MB/s, less what the buckets held
  });
});

test("the hook of docs/limits.md lets three in, one second apart, and turns the fourth away", async () => {
  const page = readFileSync(new URL("../../docs/limits.md", import.meta.url), "utf8");
  const [, code = ""] = /```ts\n(import [^`]*initWorker[^`]*)```/.exec(page) ?? [];
  await using hooked = await Gateway.start(
    code.replace("127.0.0.1:5050", "127.0.0.1:0").replace("127.0.0.1:7000", peer.address),
  );
  await Promise.all([1, 2, 3, 4].map(() => exchange(hooked.port(), "")));
  const lines = await hooked.sessions(4);
  expect(lines.map(({ status }) => status).sort()).toEqual([200, 200, 200, 503]);
  const served = lines.filter(({ status }) => status === 200).map(({ session_time }) => Number(session_time));
  const [first = 0, second = 0, third = 0] = served.sort((one, other) => one - other);
  expect(first).toBeLessThan(0.9);
  expect(second).toBeGreaterThan(0.5);
  expect(third).toBeGreaterThan(1.5);
});

describe("several processes", () => {
  const shared = (more: string, limit: string): string => `
import { defineGateway, otherwise, proxy } from "restyconf";
export default defineGateway({ ${more}
  upstreams: { echo: { peers: ["${peer.address}"] } },
  servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))], limits: [${limit}] } },
});`;
  const admitted = async (port: number, times: number, from?: string): Promise<Socket[]> => {
    const all = Array.from({ length: times }, async () => {
      const socket = await dialIn(port, "127.0.0.1", from).catch(() => undefined);
      if (!socket) return undefined; // nobody listens
      socket.write("hello");
      const text = await readUntil(socket, (got) => got.length >= 5);
      if (text === "hello") return socket;
      socket.destroy();
      return undefined;
    });
    return (await Promise.all(all)).filter((socket) => socket !== undefined);
  };

  test("of a gateway count together, and what a killed one held is free again", async () => {
    const more = `workers: 2, shared: { limits: "1m" },`;
    await using several = await Gateway.start(shared(more, `{ conn: 5, per: "address" }`));
    const port = several.port();
    let held = await admitted(port, 20);
    expect(held).toHaveLength(5);
    expect(await admitted(port, 5)).toHaveLength(0);
    const { pid } = several.process;
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    expect(workers).toHaveLength(2);
    for (const worker of workers) process.kill(worker, "SIGKILL");
    await eventually(async () => {
      held = await admitted(port, 20);
      if (held.length !== 5) for (const socket of held) socket.destroy(); // they would be in the way of the next attempt
      expect(held).toHaveLength(5);
    });
    expect(await admitted(port, 5)).toHaveLength(0);
  });

  test("of several gateways count together in Redis, each by itself while Redis is away, and sessions go on", async () => {
    await using server = await RedisServer.start();
    const text = shared(`redis: "${server.url}",`, `{ count: 6, windowMs: 600_000, per: "address", cluster: true }`);
    await using one = await Gateway.start(text);
    await using other = await Gateway.start(text);
    const count = (words: string): number =>
      [...one.log, ...other.log].filter(({ msg }) => String(msg).startsWith(words)).length;
    const isAway = (before: number): boolean => count("limits are counted by this gateway alone") > before;
    let from = "";
    let held: Socket[] = [];
    // A session waits a quarter of a second for Redis. Where this machine took longer they counted alone, and said so: another address.
    for (let address = 2, before = 0; ; address++) {
      from = `127.0.0.${address}`;
      held = [...(await admitted(one.port(), 4, from)), ...(await admitted(other.port(), 4, from))];
      if (held.length <= 6) break;
      await eventually(() => expect(isAway(before), "more than six are in").toBe(true), 2_000);
      for (const socket of held) socket.destroy();
      await sleep(200);
      before = count("limits are counted in Redis again");
    }
    expect(held).toHaveLength(6);
    await server.kill();
    expect(await admitted(one.port(), 8, from)).toHaveLength(6);
    expect(await admitted(other.port(), 8, from)).toHaveLength(6);
    for (const socket of held) socket.write("still ");
    for (const socket of held) expect(await readUntil(socket, (got) => got === "still ")).toBe("still ");
  });

  test("a reload forgets nothing", async () => {
    await using reloaded = await Gateway.start(shared("", `{ count: 1, windowMs: 600_000, per: "address" }`));
    expect(await admitted(reloaded.port(), 2)).toHaveLength(1);
    reloaded.process.kill("SIGHUP");
    await reloaded.line(({ msg }) => msg === "reload done");
    expect(await admitted(reloaded.port(), 2)).toHaveLength(0);
  });
});
