import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { run, shell } from "../support/programs.ts";
import { named, type TestServer } from "../support/servers.ts";
import { freePorts, Service } from "../support/service.ts";

// The code of docs/porting-guide.md: compiled, then run as it stands but for its addresses.

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/porting-guide.md"), "utf8");
const sections = page.split(/^## /m).slice(1);
const codeOf = (section: string, kind: "lua" | "ts"): string[] =>
  [...section.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, code = ""]) => code);

let folder: string;
const peers = new Map<string, TestServer>();
let dead: number;
let redisPort: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "restyconf-porting-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const name of ["7001", "7002"]) peers.set(name, await named(name));
  [dead = 0, redisPort = 0] = await freePorts(2);
});
afterAll(async () => {
  for (const peer of peers.values()) await peer[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** The configuration of the section with that title, with addresses that are free. */
function configOf(title: string): string {
  const [code = ""] = codeOf(sections.find((section) => section.startsWith(`${title}\n`)) ?? "", "ts");
  const port = { 5050: 0, 6379: redisPort, 7003: dead };
  return code
    .replaceAll(/127\.0\.0\.1:(700[12])/g, (_, name) => peers.get(name)?.address ?? "")
    .replaceAll(/127\.0\.0\.1:(5050|6379|7003)/g, (_, name: keyof typeof port) => `127.0.0.1:${port[name]}`);
}

function start(title: string): Promise<Gateway> {
  const path = join(folder, `${title.replaceAll(" ", "-")}.config.ts`);
  writeFileSync(path, configOf(title));
  return Gateway.startFile(path);
}

test("the guide has five hooks, each before and after", () => {
  expect(sections.map((section) => [codeOf(section, "lua").length, codeOf(section, "ts").length])).toEqual(
    Array.from({ length: 5 }, () => [1, 1]),
  );
});

test("what stands after compiles, as strictly as TypeScript says", { timeout: 60_000 }, async () => {
  const types = mkdtempSync(join(tmpdir(), "restyconf-porting-types-"));
  symlinkSync(join(root, "node_modules"), join(types, "node_modules"));
  sections.forEach(
    (section, index) => void writeFileSync(join(types, `hook-${index}.mts`), codeOf(section, "ts")[0] ?? ""),
  );
  const paths = { restyconf: [join(root, "dist/index.d.ts")], "restyconf/*": [join(root, "dist/*/index.d.ts")] };
  const target = { module: "nodenext", target: "es2023", types: ["node"] };
  const compilerOptions = { ...target, strict: true, skipLibCheck: true, noEmit: true, paths };
  const config = { compilerOptions, include: ["*.mts"] };
  writeFileSync(join(types, "tsconfig.json"), JSON.stringify(config));
  const checked = await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", types], {
    timeoutMs: 50_000,
  });
  rmSync(types, { recursive: true });
  expect(checked.stdout).toBe("");
});

describe("A peer by the first bytes", () => {
  test("routes by the name that is peeked at, which the peer still gets", async () => {
    await using gateway = await start("A peer by the first bytes");
    expect(await exchange(gateway.port(), "\x05chess!")).toBe("7001\n\x05chess!");
    expect(await exchange(gateway.port(), "\x02go!")).toBe("7002\n\x02go!");
    await eventually(() => expect(gateway.stderr).toMatch(/^game: chess$/m));
  });

  test("ends a client that does not finish its name as nginx does", async () => {
    await using gateway = await start("A peer by the first bytes");
    expect(await exchange(gateway.port(), "\x05che")).toBe("");
    expect(await gateway.access()).toMatchObject({ status: 200, end_cause: "client_closed" });
  });
});

test("A balancer that tries again: goes on to the next seat, and says why", async () => {
  await using gateway = await start("A balancer that tries again");
  expect(await exchange(gateway.port(), "hello")).toBe("7001\nhello");
  expect(await gateway.access()).toMatchObject({ upstream_addr: `127.0.0.1:${dead}, ${peers.get("7001")?.address}` });
  await eventually(() => expect(gateway.stderr).toContain(`seat 127.0.0.1:${dead}: cannot connect to peer`));
});

test("A certificate from Redis: of Redis where it has one, else of the folder", async () => {
  mkdirSync(join(folder, "certs"));
  for (const [name, text] of Object.entries(await certificateFiles())) writeFileSync(join(folder, "certs", name), text);
  const ann = await made({ names: ["ann.test"] });
  await using _redis = await Service.start(`redis-server --port ${redisPort} --save ''`);
  writeFileSync(join(folder, "ann.pem"), ann.cert + ann.key);
  expect(await shell(`redis-cli -p ${redisPort} -x SET cert:ann.test < ${folder}/ann.pem`)).toMatchObject({ code: 0 });
  await using gateway = await start("A certificate from Redis");
  const subjectOf = async (servername: string): Promise<string | undefined> => {
    const socket = await dialTls(gateway.port(), { servername });
    const subject = socket.getPeerX509Certificate()?.subject;
    socket.end();
    expect(String(await readAll(socket))).toBe(`${servername}\n`);
    return subject;
  };
  expect(await subjectOf("ann.test")).toBe("CN=ann.test");
  expect(await subjectOf("bob.test")).toBe("CN=localhost");
});

test("Access by a shared table: the 21st connection of an address is refused", async () => {
  await using gateway = await start("Access by a shared table");
  for (let visit = 1; visit <= 20; visit++) expect(await exchange(gateway.port(), "x")).toBe("7001\nx");
  expect(await exchange(gateway.port(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).toBe("");
  expect(await gateway.access(({ status }) => status === 503)).toMatchObject({ end_cause: "rejected" });
  await eventually(() => expect(gateway.stderr).toContain("127.0.0.1 came 21 times"));
});

test("A line protocol with threads and timers: answers and ticks at the same time, and tells afterwards", async () => {
  await using gateway = await start("A line protocol with threads and timers");
  const socket = await dialIn(gateway.port());
  socket.write("one\n");
  expect(await readUntil(socket, (text) => /one\n(tick\n)+$/.test(text))).toMatch(/^(tick\n)*you said one\n(tick\n)+$/);
  socket.write("two\r\nquit\n");
  expect(String(await readAll(socket))).toMatch(/^(tick\n)*you said two\n(tick\n)*bye\n$/);
  expect(await gateway.access()).toMatchObject({ end_cause: "content_done" });
  await eventually(() => expect(gateway.stderr).toContain("127.0.0.1 said 2 lines"));
});
