import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "../../bench/certificate.mjs";
import { compileTools } from "../../bench/compile.mjs";
import { direct } from "../../bench/contestants/direct.mjs";
import { restyconf } from "../../bench/contestants/restyconf.mjs";
import { cpuTimes, openFiles, residentKb } from "../../bench/cpu.mjs";
import { type Entrant, enter } from "../../bench/field.mjs";
import { gate } from "../../bench/gate.mjs";
import { makeLanes } from "../../bench/lanes.mjs";
import { runLoad } from "../../bench/load.mjs";
import { cores } from "../../bench/machine.mjs";
import { portChooser } from "../../bench/ports.mjs";
import { Processes, untilOpen } from "../../bench/processes.mjs";

const LIMIT_S = "600";
/** A busy machine may stand still for a while; who counts operations ends the window by them. */
const TIMES = { warmMs: 10, windowMs: 1_000 };
const LONG_MS = 30_000;

const processes = new Processes(cores().measured);
const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-test-"));
const setUp = async () => {
  const tools = compileTools(folder);
  const port = portChooser();
  const { peer, lanes } = await makeLanes(port);
  const running = processes.start({ command: tools.server, args: [LIMIT_S, ...peer.args] });
  const { refused: _, ...open } = peer.ports;
  await untilOpen(running, Object.values(open));
  const peerPid = running.child.pid ?? 0;
  return {
    tools,
    tell: peer.ports["tell"] ?? 0,
    ground: { processes, folder, lanes, peerPid, certificate: makeCertificate(folder), maxConnections: 100, port },
  };
};
let bench: Awaited<ReturnType<typeof setUp>>;
beforeAll(async () => {
  bench = await setUp();
});
afterAll(async () => {
  await processes.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const loadThrough = async (mode: string, lane: string, more: Readonly<Record<string, number>> = {}) => {
  const { lanes } = await enter(bench.ground, direct());
  const { port = 0, opening = Buffer.alloc(0) } = lanes[lane] ?? {};
  return runLoad(processes, { tool: bench.tools.load, mode, port, opening, connections: 4, ...TIMES, ...more });
};

/** Where OpenSSL's headers are, the generator speaks TLS too. */
const resumeThrough = async ({ lanes }: Entrant) => {
  const tool = bench.tools.loadTls;
  if (tool === undefined) return;
  const { port = 0, opening = Buffer.alloc(0) } = lanes["tls-reply"] ?? {};
  const load = {
    tool,
    mode: "churn",
    port,
    opening,
    connections: 4,
    resumes: true,
    ...TIMES,
    windowMs: LONG_MS,
    maxOps: 200,
  };
  const { ops, resumed, failures } = await runLoad(processes, load);
  expect(ops).toBeGreaterThan(10);
  expect(resumed).toBeGreaterThan(ops / 2);
  expect(failures).toBe(0);
};

describe("the load generator, straight to its server", () => {
  test.each([
    ["up", "sink"],
    ["down", "source"],
  ])("moves bytes %s", async (mode, lane) => {
    const { bytes, failures } = await loadThrough(mode, lane);
    expect(bytes).toBeGreaterThan(1_000_000);
    expect(failures).toBe(0);
  });

  test.each([64, 1024, 16_384])("gets messages of %i bytes back", async (size) => {
    const { ops, bytes, p50Ns, p99Ns, p999Ns } = await loadThrough("ping", "echo", {
      size,
      windowMs: LONG_MS,
      maxOps: 300,
    });
    expect(ops).toBeGreaterThan(100);
    expect(bytes).toBe(ops * size);
    expect([p50Ns, p99Ns, p999Ns]).toEqual([p50Ns, p99Ns, p999Ns].toSorted((a, b) => a - b));
    expect(p50Ns).toBeGreaterThan(0);
  });

  test.each(["reply", "names-10", "prefixes-50"])("opens and closes connections on %s", async (lane) => {
    const { ops, failures } = await loadThrough("churn", lane, { held: 50, windowMs: LONG_MS, maxOps: 60 });
    expect(ops).toBeGreaterThan(20);
    expect(failures).toBe(0);
  });

  test("holds connections that say nothing", async () => {
    expect((await loadThrough("hold", "echo", { connections: 200 })).failures).toBe(0);
  });

  test("ends after the operations it was asked for", async () => {
    const { ops } = await loadThrough("ping", "echo", { maxOps: 50, windowMs: LONG_MS });
    expect(ops).toBeGreaterThanOrEqual(50);
    expect(ops).toBeLessThan(1_000);
  });

  test("fails where nobody listens", async () => {
    await expect(loadThrough("ping", "refused")).rejects.toThrow("failed");
  });
});

test("the server behind passes the gate by itself", async () => {
  const findings = await gate(await enter(bench.ground, direct()), bench.tell);
  expect(findings.length).toBeGreaterThan(7);
  expect(findings.filter(({ fault }) => fault !== undefined)).toEqual([]);
});

test("the operating system tells CPU time, memory and files of a contestant", () => {
  const times = cpuTimes([process.pid]);
  expect(times.get(String(process.pid))).toBeGreaterThan(0);
  expect(times.size).toBeGreaterThan(1); // Node.js has threads
  expect(residentKb([process.pid])).toBeGreaterThan(1_000);
  expect(openFiles([process.pid])).toBeGreaterThan(3);
  expect(cpuTimes([]).size).toBe(0);
});

test("RestyConf accepts the configurations that are written for it", async () => {
  const words = { name: "restyconf", title: "", about: "" };
  for (const hook of [false, true]) {
    const entrant = await enter(bench.ground, restyconf({ ...words, carrier: "node", hook }));
    const findings = await gate(entrant, bench.tell);
    expect(findings.filter(({ fault }) => fault !== undefined)).toEqual([]);
    await resumeThrough(entrant);
    await processes.stop(entrant.running);
  }
});
