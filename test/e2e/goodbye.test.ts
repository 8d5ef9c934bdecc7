import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { MqttClient } from "../support/mqtt-client.ts";
import { type Ran, run } from "../support/programs.ts";
import { TestServer } from "../support/servers.ts";
import { freePorts, Service } from "../support/service.ts";

// What clients read last, when the gateway ends their sessions in good order.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

let broker: Service;
let brokerPort = 0;

beforeAll(async () => {
  [brokerPort = 0] = await freePorts(1);
  broker = await Service.start(`mosquitto -p ${brokerPort}`);
});
afterAll(() => broker[Symbol.asyncDispose]());

async function start(): Promise<Gateway> {
  return Gateway.start(
    `
import { defineGateway, frames, on, proxy } from "restyconf";
import { mqtt as packets } from "restyconf/codecs";
import { mqtt } from "restyconf/preread";
const routes = [on(mqtt(), proxy("broker"))];
const seen = frames(packets(), () => undefined);
export default defineGateway({
  stateDir: "state",
  upstreams: { broker: { peers: ["127.0.0.1:${brokerPort}"] } },
  servers: {
    plain: { listen: "127.0.0.1:0", routes },
    secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes },
    framed: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { client: seen, upstream: seen } } },
    raw: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { upstream: () => undefined } } },
  },
});`,
    { ports: 4, files: await certificateFiles() },
  );
}

/** A gateway of one server, with one route to one peer. */
function startWith(sniffer: string, port: number, more = ""): Promise<Gateway> {
  return Gateway.start(`
import { defineGateway, on, proxy } from "restyconf";
import { bytes, http2, postgres } from "restyconf/preread";
${more}
export default defineGateway({
  stateDir: "state",
  upstreams: { peer: { peers: ["127.0.0.1:${port}"] } },
  servers: { edge: { listen: "127.0.0.1:0", routes: [on(${sniffer}, proxy("peer"))] } },
});`);
}

let clients = 0;
const servers = ["plain", "secure", "framed", "raw"] as const;

async function connect(gateway: Gateway, server: (typeof servers)[number], version: 4 | 5 = 5): Promise<MqttClient> {
  const socket = await (server === "secure" ? dialTls(gateway.port(server)) : dialIn(gateway.port(server)));
  return MqttClient.over(socket, { clientId: `${server}-${clients++}`, version });
}

function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

const REST_MS = 300;
/** Where bytes come more often than so, no gateway takes them to be at rest. */
const LEAST_REST_MS = 200;

describe.each(servers)("MQTT 5 through a server that is %s", (server) => {
  test.each([
    ["drain", ["drain", "--over", "1"], 0x9c, "drained"],
    ["stop", ["stop"], 0x8b, "shutdown"],
  ])(
    "in a %s the client reads DISCONNECT with its reason, then the end",
    async (_name, words, reasonCode, endCause) => {
      await using gateway = await start();
      const client = await connect(gateway, server);
      await client.subscribe("quiet/#");
      await sleep(REST_MS);
      const ended = tell(gateway, ...words);
      expect(await client.received("disconnect")).toMatchObject({ reasonCode });
      expect(await client.ended()).toBe("clean");
      const { read, written } = client;
      expect(await gateway.access()).toMatchObject({
        end_cause: endCause,
        status: 200,
        protocol: "mqtt",
        bytes_received: written,
        bytes_sent: read,
      });
      expect((await ended).code).toBe(0);
      expect(client.packets.map(({ cmd }) => cmd)).toEqual(["connack", "suback", "disconnect"]);
      client.destroy();
    },
  );

  test("with fifty messages a second all of them are whole, and none is missing before the end", async () => {
    await using gateway = await start();
    const publisher = await MqttClient.over(await dialIn(brokerPort), { clientId: `to-${server}` });
    const client = await connect(gateway, server);
    const topic = `busy/${server}`;
    await client.subscribe(topic);
    let count = 0;
    let sentAtMs = performance.now();
    let longestRestMs = 0;
    const publishing = setInterval(() => {
      longestRestMs = Math.max(longestRestMs, performance.now() - sentAtMs);
      sentAtMs = performance.now();
      publisher.send({
        cmd: "publish",
        topic,
        payload: `${count++}`.padStart(200, "."),
        qos: 0,
        dup: false,
        retain: false,
      });
    }, 20);
    await eventually(() => expect(client.packets.length).toBeGreaterThan(20));
    const drained = tell(gateway, "drain", "--over", "2");
    expect(await client.ended()).toBe("clean");
    clearInterval(publishing);
    const heard = client.packets.flatMap((packet) =>
      packet.cmd === "publish" ? [Number(String(packet.payload).replace(/^\.*/, ""))] : [],
    );
    expect(heard).toEqual(heard.map((_, at) => at));
    expect([client.fault, client.unread]).toEqual([undefined, 0]);
    const words = client.packets.filter(({ cmd }) => cmd === "disconnect");
    const hasRested = Math.max(client.longestRestMs, longestRestMs) >= LEAST_REST_MS; // which a busy machine may bring about
    if (server === "framed")
      expect(words).toMatchObject([{ reasonCode: 0x9c }]); // its bytes are known as packets
    else if (!hasRested) expect(words).toEqual([]);
    expect(client.packets.at(-1)?.cmd).toBe(words.length > 0 ? "disconnect" : "publish");
    expect((await drained).code).toBe(0);
    for (const each of [client, publisher]) each.destroy();
  });
});

test("MQTT 3.1.1 has no words for it: the client sees the end", async () => {
  await using gateway = await start();
  const client = await connect(gateway, "plain", 4);
  await sleep(REST_MS);
  const stopped = gateway.stop("SIGTERM");
  expect(await client.ended()).toBe("clean");
  expect(client.packets.map(({ cmd }) => cmd)).toEqual(["connack"]);
  expect(await stopped).toBe(0);
  client.destroy();
});

test("a drain keeps its pace, and all are told", async () => {
  const [sessions, overMs] = [32, 4_000];
  await using gateway = await start();
  const connected = await Promise.all(Array.from({ length: sessions }, () => connect(gateway, "plain")));
  await sleep(REST_MS);
  const times: number[] = [];
  let [sampledAt, lateMs] = [performance.now(), 0];
  const sampling = setInterval(() => {
    const now = performance.now();
    [sampledAt, lateMs] = [now, Math.max(lateMs, now - sampledAt)];
  }, 10);
  const all = connected.map(async (client) => {
    expect(await client.received("disconnect")).toMatchObject({ reasonCode: 0x9c });
    times.push(performance.now());
    client.destroy();
  });
  const drained = tell(gateway, "drain", "--over", String(overMs / 1_000));
  await Promise.all(all);
  clearInterval(sampling);
  const [first = 0] = times;
  expect((times.at(-1) ?? 0) - first).toBeGreaterThan(overMs / 2);
  const within = (fromMs: number): number => times.filter((at) => at >= fromMs && at < fromMs + overMs / 8).length;
  const heldUp = (sessions * Math.max(0, lateMs - 20)) / overMs; // who is told while this process stands still is heard of at once
  expect(Math.max(...times.map(within))).toBeLessThan(sessions / 2 + heldUp); // an eighth of the time, and what a busy machine moves
  expect((await drained).stdout).toMatch(/^\d+ sessions left\n(\d+ sessions left\n)+ended\n$/);
});

test("a reload ends no session, and says nothing", async () => {
  await using gateway = await start();
  const client = await connect(gateway, "plain");
  await sleep(REST_MS);
  expect((await tell(gateway, "reload")).code).toBe(0);
  client.send({ cmd: "pingreq" });
  await client.received("pingresp");
  expect(client.packets.map(({ cmd }) => cmd)).toEqual(["connack", "pingresp"]);
  client.destroy();
});

test("a quick stop waits for nobody: not for one who does not read, nor for one who does not end", async () => {
  await using flood = await TestServer.open((socket) => {
    socket.once("data", () => socket.write(Buffer.alloc(50_000_000)));
  });
  await using gateway = await startWith(
    "words",
    flood.port,
    `const words = { ...bytes("GAME"), goodbye: () => Buffer.from("bye") };`,
  );
  const [deaf, quiet] = [await dialIn(gateway.port()), await dialIn(gateway.port())];
  deaf.pause().write("GAME");
  quiet.write("GAM"); // the gateway waits for more
  await sleep(REST_MS);
  const before = performance.now();
  expect(await gateway.stop("SIGTERM")).toBe(0);
  expect(performance.now() - before).toBeLessThan(4_000); // half a second, and what a busy machine adds; whoever is waited for gets five
  for (const socket of [deaf, quiet]) socket.destroy();
});

test("one whose goodbye() throws, or is none, is ended without a word, and it is logged", async () => {
  await using peer = await TestServer.open((socket) => void socket.pipe(socket));
  for (const faulty of [`() => { throw new Error("oh"); }`, `() => "text"`]) {
    await using gateway = await startWith(
      "words",
      peer.port,
      `const words = { ...bytes("GAME"), goodbye: ${faulty} };`,
    );
    const socket = await dialIn(gateway.port());
    socket.write("GAME");
    await readUntil(socket, (text) => text === "GAME");
    await sleep(REST_MS);
    const stopped = gateway.stop("SIGTERM");
    expect((await readAll(socket)).length).toBe(0);
    socket.end();
    expect(await gateway.line((line) => line["msg"] === "goodbye failed")).toMatchObject({ protocol: "bytes" });
    expect(await gateway.access()).toMatchObject({ end_cause: "shutdown", status: 200 });
    expect(await stopped).toBe(0);
  }
});

test("a client of HTTP/2 is told GOAWAY without an error", async () => {
  const server = createHttp2().on("stream", (stream) => {
    stream.respond();
    stream.end("hello");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await using gateway = await startWith("http2()", (server.address() as AddressInfo).port);
  const client = connectHttp2(`http://127.0.0.1:${gateway.port()}`);
  const stream = client.request();
  stream.resume();
  await once(stream, "end");
  await sleep(REST_MS);
  const goaway = once(client, "goaway");
  const drained = tell(gateway, "drain", "--over", "1");
  expect((await goaway).slice(0, 2)).toEqual([0, 2 ** 31 - 1]);
  expect((await drained).code).toBe(0);
  expect(await gateway.access()).toMatchObject({ protocol: "http2", end_cause: "drained" });
  client.destroy();
  server.close();
});

test("psql in the midst of a long query shows FATAL", async () => {
  const message = (type: string, body: string): string => `${type}\0\0\0${String.fromCharCode(body.length + 4)}${body}`;
  await using server = await TestServer.open((socket) => {
    socket.once("data", () => socket.write(message("R", "\0\0\0\0") + message("Z", "I"), "latin1"));
  });
  await using gateway = await startWith("postgres()", server.port);
  const asked = run("psql", [
    "-w",
    `postgresql://ann@127.0.0.1:${gateway.port()}/g?sslmode=disable&gssencmode=disable`,
    "-c",
    "select pg_sleep(60)",
  ]);
  await eventually(() => expect(server.accepted).toBe(1));
  await sleep(2 * REST_MS);
  expect((await tell(gateway, "drain", "--over", "1")).code).toBe(0);
  expect((await asked).stderr).toContain("FATAL:  terminating connection due to administrator command");
});
