import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { freePorts } from "../support/service.ts";
import { ask, change, clients, config, gone, isAlive, load, nextLine, oneOfEach, write } from "../support/workers.ts";

// Several processes behind one address: what becomes of clients when processes come and go.

const WORKERS = 2;

/** A TLS client's session with one worker. */
interface Visit {
  readonly number: number;
  readonly isResumed: boolean;
  /** For another session. */
  readonly ticket: Buffer | undefined;
}

describe("several workers", () => {
  test("serve one address, each under its number, and end with their master", async () => {
    await using gateway = await Gateway.start(config());
    const sessions = await oneOfEach(gateway.port());
    expect(sessions.map(({ number }) => number)).toEqual([0, 1]);
    expect(new Set([gateway.process.pid, ...sessions.map(({ pid }) => pid)]).size).toBe(WORKERS + 1);
    for (const { socket } of sessions) socket.end();
    expect(await gateway.stop("SIGQUIT")).toBe(0);
    for (const { pid } of sessions) expect(isAlive(pid)).toBe(false);
  });

  test("are told of a quick stop, and their sessions too", async () => {
    await using gateway = await Gateway.start(config());
    const sessions = await oneOfEach(gateway.port());
    const ports = new Set<unknown>(sessions.map(({ socket }) => socket.localPort));
    const closed = sessions.map(({ socket }) => gone(socket));
    expect(await gateway.stop("SIGTERM")).toBe(0);
    await Promise.all(closed);
    const ends = gateway.log.filter((line) => ports.has(line["remote_port"])).map((line) => line["end_cause"]);
    expect(ends).toEqual(Array.from({ length: WORKERS }, () => "shutdown"));
  });

  test("do not start at all where one address is taken", async () => {
    await using first = await Gateway.start(config());
    await expect(Gateway.start(config({ listen: `"127.0.0.1:${first.port()}"` }))).rejects.toThrow(/exit 3/);
  });

  test("do not start where another gateway has begun at the address before, and serves by now", async () => {
    const [port = 0] = await freePorts(1);
    const folder = mkdtempSync(join(tmpdir(), "restyconf-race-"));
    const text = (name: string): string =>
      config({
        listen: `"127.0.0.1:${port}"`,
        phases: `initWorker: async () => {
          writeFileSync("${join(folder, name)}-begun", "");
          await until(() => existsSync("${join(folder, name)}"));
        }`,
        more: `import { writeFileSync } from "node:fs";`,
      });
    const [one, other] = ["one", "other"].map((name) => Gateway.start(text(name)));
    for (const name of ["one", "other"]) await eventually(() => statSync(join(folder, `${name}-begun`)));
    writeFileSync(join(folder, "one"), "");
    await using _first = await one;
    writeFileSync(join(folder, "other"), "");
    await expect(other).rejects.toThrow(/exit 3[\s\S]*EADDRINUSE/);
    rmSync(folder, { recursive: true });
  });

  test("do not start at all where one of them fails, and leave nobody behind", async () => {
    const failing = config({
      phases: `initWorker: (worker) => { if (worker.number === 1) throw new Error("number one"); }`,
    });
    await expect(Gateway.start(failing)).rejects.toThrow(/number one/);
  });

  test("listen on unix sockets, too", async () => {
    await using gateway = await Gateway.start(
      config({ listen: `["127.0.0.1:0", "unix:/tmp/restyconf-workers-${process.pid}.sock"]` }),
      { ports: 2 },
    );
    expect(gateway.addresses).toContain(`unix:/tmp/restyconf-workers-${process.pid}.sock`);
    expect(await gateway.stop("SIGTERM")).toBe(0);
  });
});

describe("a worker that dies", () => {
  test.each(["SIGKILL", "SIGSEGV"] as const)(
    "by %s is replaced under its number; its sessions are the only loss",
    async (signal) => {
      await using gateway = await Gateway.start(config());
      const [dying, ...others] = await oneOfEach(gateway.port());
      if (!dying) throw new Error("no session");
      const closed = gone(dying.socket);
      const stop = load(gateway.port(), (answer) => answer === ""); // a client of the dying worker hears nothing
      process.kill(dying.pid, signal);
      await closed;
      await gateway.line((line) => line["msg"] === "worker replaced");
      const after = await oneOfEach(gateway.port());
      expect(after[0]?.pid).not.toBe(dying.pid);
      for (const { socket, pid } of others) expect(await ask(socket)).toMatchObject({ pid });
      expect(await stop()).toBeGreaterThan(0);
      for (const { socket } of [...others, ...after]) socket.destroy();
    },
  );

  test("of an exception that nobody caught finishes its sessions, beside the one that takes its place", async () => {
    await using gateway = await Gateway.start(config());
    const sessions = await oneOfEach(gateway.port());
    const [broken] = sessions;
    if (!broken) throw new Error("no session");
    await ask(broken.socket, "throw");
    await gateway.line((line) => line["msg"] === "worker replaced");
    expect(await ask(broken.socket)).toMatchObject({ pid: broken.pid });
    for (const { socket } of sessions) socket.end();
    await eventually(() => expect(isAlive(broken.pid)).toBe(false));
  });

  test("again and again is started after longer and longer pauses", async () => {
    await using gateway = await Gateway.start(config({ workers: 2 }));
    for (let death = 0; death < 2; death++) {
      const [first, second] = await oneOfEach(gateway.port(), 2);
      const before = gateway.log.length;
      process.kill(first?.pid ?? 0, "SIGKILL");
      const replaced = await gateway.line(
        (line) => line["msg"] === "worker replaced" && gateway.log.indexOf(line) >= before,
      );
      const ended = gateway.log.slice(before).find((line) => line["msg"] === "worker ended");
      const pauseMs = Date.parse(String(replaced["time"])) - Date.parse(String(ended?.["time"]));
      if (death === 1) expect(pauseMs).toBeGreaterThan(950);
      for (const one of [first, second]) one?.socket.destroy();
    }
  });
});

test("a worker that is killed while a socket is under way to it is replaced, and its clients are served", async () => {
  // Its channel stays open a little longer than the process: `tail` ends when it sees that that has.
  const phases = `initWorker: () => void spawn("tail", ["--pid=" + process.pid, "-f", "/dev/null"],
    { stdio: ["ignore", "ignore", "ignore", 3] })`;
  const more = `import { spawn } from "node:child_process";`;
  await using gateway = await Gateway.start(config({ phases, more }));
  const all = await oneOfEach(gateway.port());
  const pid = all.find(({ number }) => number === 1)?.pid ?? 0;
  process.kill(pid, "SIGSTOP"); // it takes nothing
  const [port = 0] = await freePorts(1);
  write(gateway, config({ phases, more, servers: `more: { listen: "127.0.0.1:${port}", routes: [otherwise(talk)] }` }));
  gateway.process.kill("SIGHUP");
  await eventually(async () => (await dialIn(port)).destroy()); // it is open, and being given away
  const replaced = nextLine(gateway, ({ msg, worker }) => msg === "worker replaced" && worker === 1);
  process.kill(pid, "SIGKILL");
  await replaced;
  for (const { socket } of all) socket.destroy();
  await clients(gateway.port());
});

test("a master that is killed leaves no orphan", async () => {
  await using gateway = await Gateway.start(config());
  const sessions = await oneOfEach(gateway.port());
  const port = gateway.port();
  gateway.process.kill("SIGKILL");
  for (const { socket } of sessions) socket.end();
  await eventually(() => expect(sessions.filter(({ pid }) => isAlive(pid))).toEqual([]));
  await expect(dialIn(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

describe("a reload of several workers", () => {
  test("reaches all of them, and leaves running sessions in their process and generation", async () => {
    const [added = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config());
    const before = await oneOfEach(gateway.port());
    const servers = `added: { listen: "127.0.0.1:${added}", routes: [otherwise(talk)] }`;
    expect(await change(gateway, "SIGHUP", config({ servers }))).toMatchObject({ msg: "reload done", generation: 2 });
    for (const { socket, pid } of before) expect(await ask(socket)).toMatchObject({ pid, generation: 1 });
    for (const port of [gateway.port(), added]) {
      const after = await oneOfEach(port);
      expect(after.map(({ generation }) => generation)).toEqual([2, 2]);
      expect(after.map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
      for (const { socket } of after) socket.destroy();
    }
    expect(await change(gateway, "SIGHUP", config())).toMatchObject({ generation: 3 });
    await eventually(() => expect(dialIn(added)).rejects.toMatchObject({ code: "ECONNREFUSED" }));
    for (const { socket } of before) socket.destroy();
  });

  test("that one of them cannot follow changes none", async () => {
    await using gateway = await Gateway.start(config());
    const failing = config({
      phases: `initWorker: (worker) => { if (worker.number === 1) throw new Error("number one"); }`,
    });
    expect(await change(gateway, "SIGHUP", failing)).toMatchObject({ msg: "reload failed", reason: "number one" });
    const sessions = await oneOfEach(gateway.port());
    expect(sessions.map(({ generation }) => generation)).toEqual([1, 1]);
    for (const { socket } of sessions) socket.destroy();
  });

  test("changes their number without a client refused", async () => {
    await using gateway = await Gateway.start(config());
    const stop = load(gateway.port());
    for (const workers of [4, 1, 3]) {
      expect(await change(gateway, "SIGHUP", config({ workers }))).toMatchObject({ msg: "reload done" });
      const sessions = await oneOfEach(gateway.port(), workers);
      for (const { socket } of sessions) socket.destroy();
    }
    expect(await stop()).toBeGreaterThan(20);
  });
});

test("USR2 replaces all processes; sessions stay with the old ones until they end, and no client is refused", async () => {
  await using gateway = await Gateway.start(config());
  const before = await oneOfEach(gateway.port());
  const stop = load(gateway.port());
  expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
  const after = await oneOfEach(gateway.port());
  const old = new Set(before.map(({ pid }) => pid));
  for (const { pid } of after) expect(old.has(pid)).toBe(false);
  for (const { socket, pid } of before) expect(await ask(socket)).toMatchObject({ pid });
  for (const { socket } of before) socket.end();
  await eventually(() => expect(before.filter(({ pid }) => isAlive(pid))).toEqual([]));
  expect(await stop()).toBeGreaterThan(20);
  for (const { socket } of after) socket.destroy();
});

test("workers resume each other's TLS sessions, those of the ones that they replace, and those from before a reload", async () => {
  const secure = `secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(talk)] },`;
  const started = { ports: 2, files: await certificateFiles() };
  await using gateway = await Gateway.start(config({ servers: secure }), started);
  const visit = async (session?: Buffer): Promise<Visit> => {
    const socket = await dialTls(gateway.port("secure"), { session });
    const { number } = await ask(socket); // with TLS 1.3 a ticket comes behind the handshake, in front of the answer
    const visited = { number, isResumed: socket.isSessionReused(), ticket: socket.getSession() };
    socket.destroy();
    return visited;
  };
  const { ticket } = await visit();
  const comeBack = async (): Promise<void> => {
    const seen = new Set<number>();
    await eventually(async () => {
      const visited = await visit(ticket);
      expect(visited.isResumed).toBe(true);
      expect(seen.add(visited.number).size).toBe(WORKERS);
    });
  };
  await comeBack();
  expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
  await comeBack();
  expect(await change(gateway, "SIGHUP")).toMatchObject({ msg: "reload done" });
  await comeBack();
});

test("a gateway of one process says that it cannot replace itself, and serves on", async () => {
  await using gateway = await Gateway.start(config({ workers: 1 }));
  expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement failed" });
  expect(await exchange(gateway.port(), "x\n")).toMatch(/ x\n$/);
});
