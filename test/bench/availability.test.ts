import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, describe, expect, test } from "vitest";
import { carrierLine, carrierMisfit } from "../../bench/contestants/carrier-line.mjs";
import { direct } from "../../bench/contestants/direct.mjs";
import { enter, NotAvailable } from "../../bench/field.mjs";
import { prepareKernel } from "../../bench/kernel.mjs";
import { cores } from "../../bench/machine.mjs";
import { spentBetween } from "../../bench/meter.mjs";
import { portChooser } from "../../bench/ports.mjs";
import { lastWords, Processes } from "../../bench/processes.mjs";

const processes = new Processes(cores().measured);
const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-available-"));
afterAll(async () => {
  await processes.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const certificate = { chain: "", key: "", combined: "", folder };
const lanes = [{ name: "echo", terminates: false, opening: Buffer.alloc(0), rules: [] }];
const enterProgram = async (source: string, misfit?: (said: () => string) => Promise<string | undefined>) => {
  const ground = { processes, folder, lanes, peerPid: 0, certificate, maxConnections: 10, port: portChooser() };
  const programs = ({ ports }: { ports: Readonly<Record<string, number>> }) => [
    { command: process.execPath, args: ["-e", source, String(ports["echo"])], ports: Object.values(ports) },
  ];
  return enter(ground, { ...direct(), name: "probe", isPeer: false, programs, ...(misfit && { misfit }) });
};
const LISTENS = "require('net').createServer().listen(process.argv[1], '127.0.0.1')";

describe("a contestant", () => {
  test("that ends at start is not available, for the reason that it gave", async () => {
    const entering = enterProgram("console.error('/opt/x/carrier.node: no such file'); process.exit(3)");
    await expect(entering).rejects.toThrow(NotAvailable);
    await expect(enterProgram("console.error('/opt/x/carrier.node: missing'); process.exit(3)")).rejects.toThrow(
      /ended at once: carrier.node: missing$/,
    );
  });

  test("that is not what it should be is not available, and is stopped", async () => {
    let said = () => "";
    const misfit = async (saying: () => string) => {
      said = saying;
      return "another one";
    };
    await expect(enterProgram(`${LISTENS}; process.on('exit', () => {})`, misfit)).rejects.toThrow("another one");
    expect(said()).toBe("");
  });

  test("that is what it should be takes part", async () => {
    const { running, lanes: open } = await enterProgram(LISTENS, async () => undefined);
    expect(open["echo"]?.port).toBeGreaterThan(0);
    await processes.stop(running);
  });
});

describe("the gateway's word about its carrier", () => {
  const line = (fields: object) =>
    `noise\n{"level":"info"}\n${JSON.stringify({ level: "info", msg: "carrier", ...fields })}\n`;

  test("is one line of its log", () => {
    expect(carrierLine(line({ carrier: "native", engine: "epoll" }))).toMatchObject({
      carrier: "native",
      engine: "epoll",
    });
    expect(carrierLine('listening 127.0.0.1:1 a\nnull\n{"msg":"carrier"')).toBeUndefined();
  });

  test("makes a figure of the carrier one of the carrier", async () => {
    const said = () => line({ carrier: "node", reason: "no binary" });
    await expect(carrierMisfit("native", said)).resolves.toBe("the node path carries, not native (no binary)");
    await expect(carrierMisfit("native", () => line({ carrier: "native" }))).resolves.toBeUndefined();
    await expect(carrierMisfit("node", () => line({ carrier: "native" }))).resolves.toContain("native path carries");
  });

  test("is waited for, and silence speaks for the node path alone", async () => {
    let looks = 0;
    await expect(
      carrierMisfit("native", () => (++looks > 2 ? line({ carrier: "native" }) : "")),
    ).resolves.toBeUndefined();
    await expect(carrierMisfit("native", () => "listening")).resolves.toContain("does not say");
    await expect(carrierMisfit("node", () => "listening")).resolves.toBeUndefined();
  });
});

test("a program's last words name no folder of this machine", () => {
  expect(lastWords('one\nError: /opt/a-b/c.d/file.node: not "/usr/x" found\n')).toBe('Error: file.node: not "x" found');
  expect(lastWords("")).toBe("");
});

test("CPU time counts threads that begin in a window, and those that have ended", () => {
  const before = new Map([
    ["1", 100],
    ["2", 50],
  ]);
  expect(
    spentBetween(
      before,
      new Map([
        ["1", 150],
        ["2", 60],
        ["3", 7],
      ]),
    ),
  ).toBe(67);
});

describe("a setting of the kernel", () => {
  const setting = (path: string) => ({
    path,
    wanted: "9",
    suffices: (value: string) => value === "9",
    otherwise: "it is slow",
  });
  test("is set where it does not suffice, and put back", () => {
    for (const [name, value] of Object.entries({ low: "1", fine: "9" }))
      writeFileSync(join(folder, name), `${value}\n`);
    const { restore, shortfalls } = prepareKernel({ settings: ["low", "fine"].map(setting), root: folder });
    expect(shortfalls).toEqual([]);
    expect(readFileSync(join(folder, "low"), "utf8")).toBe("9");
    restore();
    expect(readFileSync(join(folder, "low"), "utf8")).toBe("1");
    expect(readFileSync(join(folder, "fine"), "utf8")).toBe("9\n");
  });

  test("that cannot be set is told", () => {
    const { shortfalls } = prepareKernel({ settings: [setting("absent/file")], root: folder });
    expect(shortfalls).toEqual(["absent/file is not known and could not be set to 9: it is slow."]);
  });
});
