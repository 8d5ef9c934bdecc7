import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, expect, test } from "vitest";
import { compileTools } from "../../bench/compile.mjs";
import { direct } from "../../bench/contestants/direct.mjs";
import type { Contestant } from "../../bench/contestants.mjs";
import { enter, type Ground } from "../../bench/field.mjs";
import { banner, echo, refused, uploads } from "../../bench/gate/bytes.mjs";
import { clientResets, serverEndsFirst, serverResets } from "../../bench/gate/ends.mjs";
import { comeAndGo, filesComeBack, settledFiles } from "../../bench/gate/files.mjs";
import { faultsOf } from "../../bench/gate.mjs";
import { makeLanes } from "../../bench/lanes.mjs";
import { cores } from "../../bench/machine.mjs";
import { portChooser } from "../../bench/ports.mjs";
import { Processes, untilOpen } from "../../bench/processes.mjs";
import { TestServer } from "../support/servers.ts";

const processes = new Processes(cores().measured);
const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-gate-"));
afterAll(async () => {
  await processes.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

/** Two pipes and nothing else: ends both directions with one, keeps the peer of a client that was reset. */
const PIPES = `
const { connect, createServer } = require("node:net");
for (const pair of process.argv.slice(1)) {
  const [port, peer] = pair.split(":");
  createServer((client) => {
    const upstream = connect(peer, "127.0.0.1");
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on("error", () => {});
  }).listen(port, "127.0.0.1");
}`;

const setUp = async (): Promise<{ ground: Ground; tell: number }> => {
  const port = portChooser();
  const { peer, lanes } = await makeLanes(port);
  const running = processes.start({ command: compileTools(folder).server, args: ["600", ...peer.args] });
  const { refused: _, ...open } = peer.ports;
  await untilOpen(running, Object.values(open));
  const certificate = { chain: "", key: "", combined: "", folder };
  const ground = { processes, folder, lanes, peerPid: 0, certificate, maxConnections: 100, port };
  return { ground, tell: peer.ports["tell"] ?? 0 };
};

const pipes: Contestant = {
  ...direct(),
  name: "pipes",
  isPeer: false,
  programs: ({ lanes, ports }) => {
    const pairs = lanes.map(({ name, rules }) => `${ports[name]}:${rules.at(-1)?.peer}`);
    return [{ command: process.execPath, args: ["-e", PIPES, ...pairs], ports: Object.values(ports) }];
  },
};

const faultOf = (check: Promise<void>) =>
  check.then(
    () => undefined,
    (cause: Error) => cause.message,
  );

test("the gate finds what is wrong with a relay of two pipes", async () => {
  const { ground, tell } = await setUp();
  const { lanes, pids } = await enter(ground, pipes);
  const to = (name: string) => lanes[name] ?? { port: 0, opening: Buffer.alloc(0) };
  expect(await faultOf(echo(to("echo")))).toBeUndefined();
  expect(await faultOf(banner(to("banner")))).toBeUndefined();
  const files = await settledFiles(pids);
  expect(await faultOf(serverEndsFirst(to("early"), tell))).toMatch(/of 500000 bytes arrive/);
  // All at once, as what never comes is waited for.
  const [upload, byClient, byServer, kept] = await Promise.all([
    faultOf(uploads(to("sum"))),
    faultOf(clientResets(to("witness"), tell)),
    faultOf(serverResets(to("reset"))),
    faultOf(comeAndGo(to("echo")).then(() => filesComeBack(pids, files))),
  ]);
  expect(upload).toBe("no answer came");
  expect(byClient).toBe("the server never learns of the end");
  expect(byServer).toMatch(/reset arrives as an end|did not come/);
  expect(kept).toMatch(/^\d+ open files, \d+ before$/);
}, 60_000);

test.each([
  { words: "nothing", bytes: [], fault: undefined },
  { words: "that the server is unavailable, in MQTT", bytes: [0x20, 0x02, 0x00, 0x03], fault: undefined },
  { words: "that all is well", bytes: [0x20, 0x02, 0x00, 0x00], fault: "4 bytes came from nobody" },
])("a proxy without a server behind it may say $words: $fault", async ({ bytes, fault }) => {
  await using proxy = await TestServer.open((socket) => socket.once("data", () => socket.end(Buffer.from(bytes))));
  expect(await faultOf(refused({ port: proxy.port, opening: Buffer.from("hello") }))).toBe(fault);
});

test("what is claimed and fails stands against figures, what is not claimed does not", () => {
  const finding = (claimed: boolean, fault?: string) => ({ check: "a", claimed, fault });
  expect(faultsOf([finding(true), finding(false), finding(false, "no"), finding(true, "lost")])).toEqual([
    finding(true, "lost"),
  ]);
});
