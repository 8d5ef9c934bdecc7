import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";

// A configuration that is tried out on some of the sessions: who ends it, who does not, and what it leaves behind.

const STRAY = `setImmediate(() => { throw new Error("stray"); });`;

interface Version {
  readonly says: string;
  readonly workers?: number;
  /** A status from 500 on is a failure. */
  readonly status?: number;
  /** Before a session is ended by "bye". */
  readonly bye?: string;
  readonly phases?: string;
  /** Of a second server. */
  readonly port?: number | undefined;
}

/** Answers each line with its name and the worker's number; a client that says "bye" has its session ended with the status. */
function config({ says, workers = 1, status = 200, bye = "", phases = "", port }: Version): string {
  const second = port === undefined ? "" : `second: { listen: "127.0.0.1:${port}", routes: [otherwise(talk)] },`;
  return `import { existsSync } from "node:fs";
    import { content, defineGateway, otherwise } from "restyconf";
    const told = (what) => console.error(JSON.stringify(what));
    const whenGo = async (work) => {
      while (!existsSync(new URL("go", "file://" + import.meta.dirname + "/"))) await new Promise((resolve) => setTimeout(resolve, 20));
      setTimeout(work, 500);
    };
    let byes = 0;
    const talk = content(async (session) => {
      for (;;) {
        const { data, err } = await session.reader.receive();
        if (err) return;
        await session.write("${says} " + session.worker.number + "\\n");
        if (String(data) !== "bye") continue;
        ${bye}
        session.exit(${status});
      }
    });
    export default defineGateway({
      stateDir: "state", workers: ${workers}, phases: { ${phases} },
      servers: { ${second} edge: { listen: "127.0.0.1:0", routes: [otherwise(talk)] } },
    });`;
}

/** From half a second later on, what `whenGo` of a configuration is told is done: the configuration is being tried out by then. */
function go(gateway: Gateway): void {
  writeFileSync(join(gateway.folder, "go"), "");
}

function write(gateway: Gateway, version: Version): void {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(version));
}

async function tryOut(gateway: Gateway, version: Version): Promise<void> {
  write(gateway, version);
  expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
}

/** Clients that have their sessions ended, many at once, until the result is called. */
function load(port: number): () => Promise<unknown> {
  let runs = true;
  const clients = Array.from({ length: 8 }, async () => {
    while (runs) await exchange(port, "bye\n").catch(() => "");
  });
  return () => {
    runs = false;
    return Promise.all(clients);
  };
}

/** Resolves when a session has had one of these answers. */
function heard(port: number, answer: RegExp): Promise<void> {
  return eventually(async () => expect(await exchange(port, "?\n")).toMatch(answer));
}

/** A session that has had one of these answers. */
function sessionOf(gateway: Gateway, answer: RegExp): Promise<Socket> {
  return eventually(async () => {
    const socket = await dialIn(gateway.port());
    socket.write("?\n");
    const said = await readUntil(socket, (text) => text.endsWith("\n"));
    if (!answer.test(said)) socket.destroy();
    expect(said).toMatch(answer);
    return socket;
  });
}

describe.each([1, 2])("with %i workers, a canary", (workers) => {
  test.each([
    ["at its end", `exitWorker: () => { setTimeout(() => { throw new Error("stray"); }); process.exit(3); }`],
    ["when its signal aborts", `initWorker: ({ signal }) => signal.addEventListener("abort", () => { ${STRAY} })`],
    ["in its event handlers", `initWorker: ({ events }) => events.subscribe("x", () => { ${STRAY} })`],
  ])("that throws %s takes nobody along, and the next one is not blamed for it", async (_, fault) => {
    const publish = `session.worker.events.publish("all", "x", 1);`;
    const hears = `initWorker: ({ events, number }) => void events.subscribe("x", () => told({ hears: number }))`;
    await using gateway = await Gateway.start(config({ says: "a", workers, bye: publish, phases: hears }));
    const held = await sessionOf(gateway, /^a/);
    const other = await sessionOf(gateway, /^a/);
    await tryOut(gateway, { says: "b", workers, phases: fault });
    other.end("bye\n");
    for (let number = 0; number < workers; number++) await gateway.line((line) => line["hears"] === number); // and so has the canary
    await tell(gateway, "rollback"); // or it was dropped already
    await gateway.line((line) => line["msg"] === "uncaught");
    await tryOut(gateway, { says: "c", workers });
    await heard(gateway.port(), /^c/);
    held.write("?\n");
    expect(await readUntil(held, (text) => text.endsWith("\n"))).toMatch(/^a/);
    held.destroy();
    expect(await tell(gateway, "promote")).toMatchObject({ code: 0 });
    expect(gateway.log.filter(({ msg }) => msg === "worker ended" || msg === "worker replaced")).toEqual([]);
  });

  test("is judged also after a reload that cannot be read", async () => {
    await using gateway = await Gateway.start(config({ says: "a", workers }));
    await tryOut(gateway, { says: "b", workers, status: 500 });
    writeFileSync(join(gateway.folder, "restyconf.config.ts"), "export default {");
    expect(await tell(gateway, "reload")).toMatchObject({ code: 1 });
    const stop = load(gateway.port());
    expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 1 });
    await stop();
  });

  test("goes on when another configuration fails beside it, and gives way to one that does not, its ports included", async () => {
    const [port = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config({ says: "a", workers }));
    await tryOut(gateway, { says: "b", workers, port });
    const early = await dialIn(port);
    early.write("?\n");
    expect(await readUntil(early, (text) => text.endsWith("\n"))).toMatch(/^b/);
    const phases = `initWorker: () => { throw new Error("not today"); }`;
    write(gateway, { says: "c", workers, port, phases });
    expect(await tell(gateway, "reload")).toMatchObject({ code: 1, stderr: expect.stringContaining("not today") });
    await heard(gateway.port(), /^b/);
    await heard(port, /^b/);
    write(gateway, { says: "d", workers, port });
    expect(await tell(gateway, "reload")).toMatchObject({ code: 0 });
    for (let session = 0; session < 10; session++) {
      expect(await exchange(gateway.port(), "?\n")).toMatch(/^d/);
      expect(await exchange(port, "?\n")).toMatch(/^d/);
    }
    early.write("?\n");
    expect(await readUntil(early, (text) => text.endsWith("\n"))).toMatch(/^b/);
    early.destroy();
    expect(await tell(gateway, "promote")).toMatchObject({ code: 1 });
    expect(await tell(gateway, "rollback")).toMatchObject({ stdout: "rolled back: generation 1\n" });
    const [refused] = await once(connect(port, "127.0.0.1"), "error");
    expect(refused).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("whose code throws where nobody catches it is dropped", async () => {
    await using gateway = await Gateway.start(config({ says: "a", workers }));
    const phases = `initWorker: () => void whenGo(() => { throw new Error("stray"); })`;
    await tryOut(gateway, { says: "b", workers, phases });
    go(gateway);
    expect(await gateway.line((line) => line["msg"] === "canary fails")).toMatchObject({ level: "error" });
    expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 1 });
    expect(await tell(gateway, "promote")).toMatchObject({ code: 1 });
    for (let session = 0; session < 10; session++) expect(await exchange(gateway.port(), "?\n")).toMatch(/^a/);
    expect(gateway.process.exitCode).toBeNull();
  });

  test("accepts no more than the others when the gateway is to end, and is told so", async () => {
    const [port = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config({ says: "a", workers }));
    const phases = `initWorker: ({ signal, number }) => { signal.addEventListener("abort", () => told({ aborted: number })); },
      exitWorker: ({ number }) => told({ exited: number })`;
    await tryOut(gateway, { says: "b", workers, port, phases });
    const socket = await dialIn(port);
    socket.write("?\n");
    await readUntil(socket, (text) => text.endsWith("\n"));
    const stopped = gateway.stop("SIGQUIT");
    await eventually(() => expect(dialIn(port).then((late) => late.destroy())).rejects.toThrow("ECONNREFUSED"));
    socket.write("?\n");
    expect(await readUntil(socket, (text) => text.endsWith("\n"))).toMatch(/^b/);
    socket.end();
    expect(await stopped).toBe(0);
    for (const word of ["aborted", "exited"])
      expect(gateway.log.filter((line) => word in line).map((line) => line[word])).toHaveLength(workers);
  });
});

test.each([
  ["throws where nobody catches it", STRAY, "stray"],
  ["ends the process", "process.exit(3);", "it has called process.exit(3)"],
  ["ends the process later", "setImmediate(() => process.exit());", "it has called process.exit()"],
])("in one process, a canary whose session %s is dropped, and the process goes on", async (_, bye, reason) => {
  await using gateway = await Gateway.start(config({ says: "a" }));
  const held = await dialIn(gateway.port());
  await tryOut(gateway, { says: "b", bye });
  const stop = load(gateway.port());
  expect(await gateway.line((line) => line["msg"] === "canary fails")).toMatchObject({ reason });
  expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 1 });
  await stop();
  held.write("?\n");
  expect(await readUntil(held, (text) => text.endsWith("\n"))).toMatch(/^a/);
  held.destroy();
  expect(gateway.process.exitCode).toBeNull();
});

test("in one process, what sessions of a dropped canary throw ends nothing; what serves has no such right", async () => {
  await using gateway = await Gateway.start(config({ says: "a" }));
  await tryOut(gateway, { says: "b", bye: STRAY });
  const late = await sessionOf(gateway, /^b/);
  expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
  late.end("bye\n");
  await gateway.line((line) => line["msg"] === "uncaught");
  expect(await exchange(gateway.port(), "?\n")).toMatch(/^a/);
  expect(await tell(gateway, "reload")).toMatchObject({ code: 0 });
  await exchange(gateway.port(), "bye\n").catch(() => "");
  await eventually(() => expect(gateway.process.exitCode).toBe(1));
});

test.each([
  ["is ended by its code", "process.exit()", { reason: "it has called process.exit()" }],
  [
    "is ended by its code that catches what that throws",
    "{ try { process.exit(); } catch {} }",
    { reason: "it has called process.exit()" },
  ],
  ["throws where nobody catches it", `{ throw new Error("stray"); }`, { reason: "stray" }],
  ["is killed again and again", `process.kill(process.pid, "SIGKILL")`, { crashes: expect.any(Number) }],
])("a canary whose worker %s is dropped, and all clients are served", async (_, end, fault) => {
  await using gateway = await Gateway.start(config({ says: "a", workers: 2 }));
  const phases = `initWorker: () => void whenGo(() => ${end})`;
  await tryOut(gateway, { says: "b", workers: 2, phases });
  go(gateway);
  expect(await gateway.line((line) => line["msg"] === "canary fails")).toMatchObject(fault);
  expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 1 });
  await heard(gateway.port(), /^a 0/);
  await heard(gateway.port(), /^a 1/);
});

test("a worker that an operator has told to end is no fault of a canary, and one that was killed is none either", async () => {
  await using gateway = await Gateway.start(config({ says: "a", workers: 2 }));
  await tryOut(gateway, { says: "b", workers: 2 });
  for (const signal of ["SIGTERM", "SIGQUIT", "SIGKILL"] as const) {
    const { length } = gateway.log;
    const { workers } = JSON.parse((await tell(gateway, "status")).stdout);
    process.kill(workers[0].pid, signal);
    await gateway.line((line) => line["msg"] === "worker replaced" && gateway.log.indexOf(line) >= length);
  }
  await heard(gateway.port(), /^b/);
  expect(await tell(gateway, "promote")).toMatchObject({ code: 0 });
  expect(gateway.log.filter((line) => line["msg"] === "canary fails")).toEqual([]);
}, 60_000); // three workers start, one after the other

test("a canary that fails and blocks is dropped once, and the configuration before it stays", async () => {
  const workers = 2;
  await using gateway = await Gateway.start(config({ says: "a", workers }));
  write(gateway, { says: "b", workers });
  expect(await tell(gateway, "reload")).toMatchObject({ stdout: "reloaded: generation 2\n" });
  const bye = `if (++byes === 15) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);`;
  await tryOut(gateway, { says: "c", workers, status: 500, bye });
  const stop = load(gateway.port());
  expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 2 });
  await stop();
  expect(await tell(gateway, "rollback")).toMatchObject({ stdout: "rolled back: generation 1\n" });
  expect(gateway.log.filter((line) => line["msg"] === "canary fails")).toHaveLength(1);
}, 60_000);

test("a worker that takes the place of a killed one takes part in a canary", async () => {
  const workers = 2;
  await using gateway = await Gateway.start(config({ says: "a", workers }));
  await tryOut(gateway, { says: "b", workers });
  const { workers: before } = JSON.parse((await tell(gateway, "status")).stdout);
  process.kill(before[0].pid, "SIGKILL");
  await gateway.line((line) => line["msg"] === "worker replaced");
  await heard(gateway.port(), /^b 0/);
  await heard(gateway.port(), /^a 0/);
  expect(await tell(gateway, "promote")).toMatchObject({ code: 0 });
  for (let session = 0; session < 20; session++) expect(await exchange(gateway.port(), "?\n")).toMatch(/^b/);
}, 60_000);
