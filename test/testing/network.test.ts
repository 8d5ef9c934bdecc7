import { expect, test } from "vitest";
import {
  connect,
  content,
  defineGateway,
  hash,
  otherwise,
  proxy,
  registry,
  type ServerConfig,
  type UpstreamConfig,
} from "../../src/index.ts";
import { echo, end, type Party, type Peers, receive, runSession, send, wait } from "../../src/testing/index.ts";

function gateway(game: UpstreamConfig, server: Partial<ServerConfig<"game">> = {}) {
  return defineGateway({
    upstreams: { game },
    servers: { edge: { listen: "127.0.0.1:5050", routes: [otherwise(proxy("game"))], ...server } },
  });
}

/** A gateway that is itself the server, and sends what its handler returns. */
const answering = (answer: () => Promise<string>) =>
  defineGateway({
    servers: {
      edge: {
        listen: "127.0.0.1:5050",
        routes: [otherwise(content(async (session) => session.write(await answer())))],
      },
    },
  });

const client = [send("x"), receive("x"), end()];

test("peers are found by address, by upstream, by host name and by unix path", async () => {
  const found: [string, Peers, string][] = [
    ["10.0.0.1:7000", { "10.0.0.1:7000": echo() }, "10.0.0.1:7000"],
    ["[fd00::1]:7000", { "[fd00::1]:7000": echo() }, "[fd00::1]:7000"],
    ["10.0.0.1:7000", { game: echo() }, "10.0.0.1:7000"],
    ["game.internal:7000", { "game.internal:7000": echo() }, "192.0.2.1:7000"],
    ["game.internal:7000", { game: echo() }, "192.0.2.1:7000"],
    ["unix:/run/game.sock", { "unix:/run/game.sock": echo() }, "unix:/run/game.sock"],
  ];
  for (const [address, peers, logged] of found) {
    const run = await runSession(gateway({ peers: [address] }), { client, peers });
    expect(run.connected).toEqual([address]);
    expect([run.toPeer(address), run.toPeer("game")]).toEqual([Buffer.from("x"), Buffer.from("x")]);
    expect(run.line.upstream_addr).toBe(logged);
  }
});

test.each([
  ["nobody", {}, "RC_PEER_CONNECT", /ECONNREFUSED/],
  ["one that refuses", { game: "refused" }, "RC_PEER_CONNECT", /ECONNREFUSED/],
  ["one that is silent", { game: "silent" }, "RC_PEER_CONNECT_TIMEOUT", /game/],
  ["a name that nobody knows", { game: "unresolved" }, "RC_PEER_RESOLVE", /ENOTFOUND/],
  ["a name that nobody knows, by itself", { "game.internal:7000": "unresolved" }, "RC_PEER_RESOLVE", /ENOTFOUND/],
] satisfies [string, Peers, string, RegExp][])("%s", async (_, peers, code, reason) => {
  const run = await runSession(gateway({ peers: ["game.internal:7000"] }), { client: send("x"), peers });
  expect(run.line).toMatchObject({
    code,
    status: 502,
    reason: expect.stringMatching(code === "RC_PEER_CONNECT_TIMEOUT" ? /./ : reason),
  });
});

test("a peer that is neither an address nor an upstream is refused at once", async () => {
  const run = runSession(gateway({ peers: ["10.0.0.1:1"] }), { peers: { gmae: echo() } });
  await expect(run).rejects.toThrow(/peers: "gmae" is neither an address nor an upstream of the configuration/);
});

test("which server is meant has to be clear", async () => {
  const { servers, ...rest } = gateway({ peers: ["10.0.0.1:1"] });
  const two = {
    ...rest,
    servers: { ...servers, admin: { listen: "127.0.0.1:1", routes: [otherwise(proxy("game"))] } },
  };
  await expect(runSession(two)).rejects.toThrow("server: expected one of edge, admin");
  await expect(runSession(two, { server: "edgy" })).rejects.toThrow("server: no edgy among edge, admin");
});

test("a configuration that is wrong is refused as the gateway does", async () => {
  const wrong = { servers: { edge: { listen: "127.0.0.1:1", routs: [] } } };
  await expect(runSession(wrong as never)).rejects.toThrow(/servers\.edge\.routs: .*routes/);
});

test("addresses are those that are given: for hooks, for the log and in PROXY headers", async () => {
  const config = gateway(
    { peers: ["10.0.0.1:7000"], proxyProtocol: 1 },
    { proxyProtocol: { trust: ["10.0.0.7"] }, listen: "10.1.1.1:443" },
  );
  const peers = { game: echo() };
  const stay = [send("x"), wait(1), end()];
  const plain = await runSession(config, { client: stay, peers, remote: { host: "203.0.113.9", port: 4_000 } });
  expect(plain.toPeer("game").toString()).toBe("PROXY TCP4 203.0.113.9 10.1.1.1 4000 443\r\nx");
  const header = "PROXY TCP4 198.51.100.1 10.9.9.9 1234 99\r\n";
  const proxied = await runSession(config, {
    client: [send(`${header}x`), wait(1), end()],
    peers,
    remote: { host: "10.0.0.7" },
    oneByOne: true,
  });
  expect(proxied.toPeer("game").toString()).toBe(`${header}x`);
  expect(proxied.line).toMatchObject({ remote_addr: "198.51.100.1", remote_port: 1234 });
});

test("a client of a unix socket comes from nowhere", async () => {
  const { line } = await runSession(gateway({ peers: ["10.0.0.1:1"] }, { listen: "unix:/run/edge.sock" }), {
    client: send("x"),
  });
  expect(line).toMatchObject({ remote_addr: "unix:", remote_port: 0 });
});

test("the registry has what it is given, and balancers choose as ever", async () => {
  const instance = (address: string) => JSON.stringify({ address, state: "ready" });
  const known = { "service:game:a": instance("10.0.0.1:7000"), "service:game:b": instance("10.0.0.2:7000") };
  const config = gateway({ peers: registry("game"), balancer: hash((session) => session.remote.host) });
  const peers = { game: echo() };
  const chosen = async (host: string) =>
    (await runSession(config, { client, peers, registry: known, remote: { host } })).connected;
  const all = await Promise.all(["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"].map(chosen));
  expect(new Set(all.flat())).toEqual(new Set(["10.0.0.1:7000", "10.0.0.2:7000"]));
  expect(await chosen("10.1.0.1")).toEqual(all[0]);
});

test("sockets that hooks open reach the peers of the run, and are kept in pools", async () => {
  const config = answering(async () => {
    const answers: string[] = [];
    for (const question of ["one\n", "two\n"]) {
      const { socket, err } = await connect("redis.internal:6379");
      if (err !== undefined) return err;
      await socket.send(question);
      answers.push(`${socket.getReusedTimes()} ${(await socket.receive()).data}`);
      await socket.setKeepalive();
    }
    return answers.join(", ");
  });
  const peers = { "redis.internal:6379": echo() };
  for (const oneByOne of [false, true]) {
    const run = await runSession(config, { peers, oneByOne });
    expect(run.toClient.toString()).toBe("0 one, 1 two"); // the second run finds nothing of the first in the pool
    expect(run.connected).toEqual(["redis.internal:6379"]);
  }
});

test.each([
  ["refused", "connection refused", 0],
  ["silent", "timeout", 2],
  ["unresolved", "redis.internal could not be resolved (3: Host not found)", 0],
] as const)("a socket of a hook to a peer that is %s gets OpenResty's words", async (peer, words, seconds) => {
  const config = answering(async () => (await connect("redis.internal:6379", { connectMs: 2_000 })).err ?? "connected");
  const run = await runSession(config, { peers: { "redis.internal:6379": peer } });
  expect(run.toClient.toString()).toBe(words);
  expect(run.line.session_time).toBe(seconds);
});

test("a peer has a script for each connection", async () => {
  let count = 0;
  const peer = async (party: Party) => party.end(`${++count}`);
  const ask = async () => String((await (await connect("10.0.0.1:1")).socket?.receive("*a"))?.data);
  const run = await runSession(
    answering(async () => `${await ask()}${await ask()}${await ask()}`),
    { peers: { "10.0.0.1:1": peer } },
  );
  expect(run.toClient.toString()).toBe("123");
  expect(run.connected).toHaveLength(3);
});

test("hooks of the gateway run around the session, and what they throw the run rejects with", async () => {
  const called: string[] = [];
  const config = gateway({ peers: ["10.0.0.1:1"] }, { phases: { log: () => called.push("log") } });
  const phases = {
    init: () => void called.push("init"),
    check: () => void called.push("check"),
    initWorker: () => void called.push("initWorker"),
    exitWorker: () => void called.push("exitWorker"),
  };
  await runSession({ ...config, phases }, { client, peers: { game: echo() } });
  expect(called).toEqual(["init", "check", "initWorker", "log", "exitWorker"]);
  const failing = { ...phases, initWorker: () => Promise.reject(new Error("no database")) };
  await expect(runSession({ ...config, phases: failing })).rejects.toThrow("no database");
});

test("a configuration is taken by its path as well", async () => {
  const path = new URL("../../examples/line-service.ts", import.meta.url).pathname;
  const run = await runSession(path, { client: [receive("ready\n"), send("quit\n")] });
  expect(run.toClient.toString()).toBe("ready\nbye\n");
});
