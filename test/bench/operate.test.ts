import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "../../bench/certificate.mjs";
import { compileTools } from "../../bench/compile.mjs";
import { direct } from "../../bench/contestants/direct.mjs";
import { restyconf } from "../../bench/contestants/restyconf.mjs";
import type { Contestant } from "../../bench/contestants.mjs";
import { contestants } from "../../bench/contestants.mjs";
import { makeLanes } from "../../bench/lanes.mjs";
import { cores } from "../../bench/machine.mjs";
import { isOperated, operateAll } from "../../bench/operate.mjs";
import { portChooser } from "../../bench/ports.mjs";
import { Processes, untilOpen } from "../../bench/processes.mjs";

const LIMIT_S = "600";
const processes = new Processes(cores().measured);
const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-ask-"));
const setUp = async () => {
  const tools = compileTools(folder);
  const port = portChooser();
  const { peer, lanes } = await makeLanes(port);
  const running = processes.start({ command: tools.server, args: [LIMIT_S, ...peer.args] });
  await untilOpen(running, [peer.ports["echo"] ?? 0]);
  const peerPid = running.child.pid ?? 0;
  const certificate = makeCertificate(folder);
  return { tools, processes, ground: { processes, folder, lanes, peerPid, certificate, maxConnections: 100, port } };
};
let bench: Awaited<ReturnType<typeof setUp>>;
beforeAll(async () => {
  bench = await setUp();
});
afterAll(async () => {
  await processes.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const gateway = restyconf({ name: "asked", title: "asked", about: "", carrier: "node" });
const ask = (contestant: Contestant, sessions: readonly number[]) =>
  operateAll(bench, [contestant], { sessions, rounds: 2 }, () => {});

/** Echoes on all ports as the server behind does; as an operator's gateway it lists always one session more than there was room for. */
const LIAR = `
const { createServer } = require("node:http");
const [control, ...ports] = process.argv.slice(1);
for (const port of ports) require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(port, "127.0.0.1");
let asked = 0;
createServer((request, response) => {
  const sessions = [[], [{}], [{}, {}]][Math.min(asked++, 2)];
  response.end(JSON.stringify(request.method === "GET" ? { sessions } : {}));
}).listen(control);
`;
const liar: Contestant = {
  ...direct(),
  name: "liar",
  title: "liar",
  isPeer: false,
  control: (place) => join(place, "ask.sock"),
  programs: ({ folder: place, ports }) => {
    const args = ["-e", LIAR, join(place, "ask.sock"), ...Object.values(ports).map(String)];
    return [{ command: process.execPath, args, ports: Object.values(ports) }];
  },
};

describe("an operator's questions", () => {
  test("are asked beside sessions that are there, and have a time and a cost each", async () => {
    const { operations, faults } = await ask(gateway, [1, 40, 5_000]);
    expect(faults).toEqual([]);
    // 5,000 are more than may be open
    expect(operations.map(({ operation, sessions }) => `${operation} ${sessions}`)).toEqual([
      ...["reload 1", "list 1", "reload 40", "list 40"],
    ]);
    for (const { tookNs, cpuNs, samples } of operations) {
      expect(samples.map(({ round }) => round)).toEqual([0, 1]);
      expect(tookNs.min).toBeGreaterThan(0);
      expect(cpuNs.min).toBeGreaterThan(0);
      expect(cpuNs.max).toBeLessThan(30e9);
    }
  });

  test("have no figure where the list is not that of the sessions", async () => {
    const { operations, faults } = await ask(liar, [1]);
    expect(operations).toEqual([]);
    expect(faults).toEqual([
      { contestant: "liar", mode: "reload and session list", fault: "2 of 1 sessions are listed" },
    ]);
  });

  test("are for each path of the gateway, once", () => {
    expect(contestants.filter(isOperated).map(({ name }) => name)).toEqual(["restyconf-node", "restyconf-carrier"]);
  });
});
