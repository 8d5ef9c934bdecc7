import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { tell, turn } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";

// What a configuration that is loaded may do wrong, beside one that serves: it is that load's affair alone.

interface Version {
  readonly says?: string;
  readonly workers?: number;
  readonly port?: number;
  /** At the top of the module. */
  readonly top?: string;
  readonly phases?: string;
}

/** Answers each line with its name. */
function config({ says = "a", workers = 1, port = 0, top = "", phases = "" }: Version): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    const told = (what) => console.error(JSON.stringify(what));
    ${top}
    const talk = content(async (session) => {
      for (;;) {
        const { err } = await session.reader.receive();
        if (err) return;
        await session.write("${says}\\n");
      }
    });
    export default defineGateway({
      stateDir: "state", workers: ${workers}, phases: { ${phases} },
      servers: { edge: { listen: "127.0.0.1:${port}", routes: [otherwise(talk)] } },
    });`;
}

function write(gateway: Gateway, version: Version): void {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(version));
}

/** Asks for a reload by a signal. */
function hang(gateway: Gateway, version: Version): void {
  write(gateway, version);
  gateway.process.kill("SIGHUP");
}

/** Resolves with the next word on a reload. */
async function reloaded(gateway: Gateway, version: Version): Promise<LogLine> {
  const before = gateway.log.length;
  hang(gateway, version);
  return gateway.line(
    (line) => /^reload (?:done|failed)$/.test(String(line["msg"])) && gateway.log.indexOf(line) >= before,
  );
}

test("a fault of one worker while the others are still getting ready fails the reload", async () => {
  await using gateway = await Gateway.start(config({ workers: 2 }));
  const top = `import { existsSync, writeFileSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    const file = import.meta.dirname + "/thrown";
    const throwSoon = () => setTimeout(() => { writeFileSync(file, ""); throw new Error("stray"); }, 100);`;
  const phases = `initWorker: async ({ number }) => {
    if (number === 0) return void throwSoon();
    while (!existsSync(file)) await sleep(5);
    await sleep(1_500); // the master hears of it meanwhile
  }`;
  const failed = await reloaded(gateway, { says: "b", workers: 2, top, phases });
  expect(failed).toMatchObject({ msg: "reload failed", reason: "stray" });
  expect(await exchange(gateway.port(), "?\n")).toBe("a\n");
});

describe.each([1, 2])("a gateway of %i workers", (workers) => {
  test("outlives what the code of a failed reload throws later", async () => {
    await using gateway = await Gateway.start(config({ workers }));
    const failed = await reloaded(gateway, {
      workers,
      top: `const throwLater = () => setTimeout(() => Promise.reject(new Error("stray")), 50);`,
      phases: `init: () => { throwLater(); return Promise.reject(new Error("not today")); }`,
    });
    expect(failed).toMatchObject({ msg: "reload failed", reason: "not today" });
    expect(await gateway.line((line) => line["msg"] === "uncaught")).toMatchObject({ err: { message: "stray" } });
    expect(await reloaded(gateway, { says: "b", workers })).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("b\n");
  });

  test.each([
    ["its module", { top: "process.exit(3);" }],
    ["init", { phases: "init: () => { try { process.exit(3); } catch {} }" }],
    ["a callback while it is loaded", { phases: "init: () => new Promise(() => setTimeout(() => process.exit(3)))" }],
    ["its imported name", { top: `import { exit } from "node:process"; exit(3);` }],
  ])("fails a reload that calls process.exit() in %s", async (_, fault) => {
    await using gateway = await Gateway.start(config({ workers }));
    const failed = await reloaded(gateway, { workers, ...fault });
    expect(failed).toMatchObject({ msg: "reload failed", reason: expect.stringContaining("process.exit(3)") });
    expect(await reloaded(gateway, { says: "b", workers })).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("b\n");
    expect(await gateway.stop()).toBe(0);
  });

  test.each([
    ["throws where nobody catches it", `setTimeout(() => { throw new Error("stray"); });`, "stray"],
    ["ends the process", "process.exit(3);", "it has called process.exit(3)"],
    ["ends the process later", "setTimeout(() => process.exit(3));", "it has called process.exit(3)"],
  ])("fails a reload whose initWorker %s, and keeps the sessions", async (_, fault, reason) => {
    await using gateway = await Gateway.start(config({ workers }));
    const held = await Promise.all(Array.from({ length: 8 }, () => dialIn(gateway.port())));
    const asked = async (socket: Socket): Promise<string> => {
      socket.write("?\n");
      return readUntil(socket, (text) => text.endsWith("\n"));
    };
    expect(new Set(await Promise.all(held.map(asked)))).toEqual(new Set(["a\n"]));
    const phases = `initWorker: () => new Promise(() => { ${fault} })`;
    const failed = await reloaded(gateway, { says: "b", workers, phases });
    expect(failed).toMatchObject({ msg: "reload failed", reason: expect.stringContaining(reason) });
    expect(await reloaded(gateway, { says: "c", workers })).toMatchObject({ msg: "reload done" });
    expect(new Set(await Promise.all(held.map(asked)))).toEqual(new Set(["a\n"]));
    expect(gateway.log.filter(({ msg }) => msg === "worker ended" || msg === "worker replaced")).toEqual([]);
    for (const socket of held) socket.destroy();
  });

  test("fails a reload whose code throws where nobody catches it while it is loaded", async () => {
    await using gateway = await Gateway.start(config({ workers }));
    const phases = `init: () => new Promise(() => { setTimeout(() => { throw new Error("stray"); }); })`;
    expect(await reloaded(gateway, { workers, phases })).toMatchObject({ msg: "reload failed", reason: "stray" });
    expect(await reloaded(gateway, { says: "b", workers })).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("b\n");
  });

  test("goes back while a reload waits for a hook that never returns, and gives that one up", async () => {
    await using gateway = await Gateway.start(config({ workers }));
    expect(await reloaded(gateway, { says: "b", workers })).toMatchObject({ generation: 2 });
    hang(gateway, { says: "c", workers, phases: `init: () => { told({ init: "c" }); return new Promise(() => {}); }` });
    await gateway.line((line) => line["init"] === "c");
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0, stdout: "rolled back: generation 1\n" });
    expect(await gateway.line((line) => line["msg"] === "reload failed")).toMatchObject({
      reason: "a rollback was asked for meanwhile",
    });
    expect(await exchange(gateway.port(), "?\n")).toBe("a\n");
    expect(await reloaded(gateway, { says: "d", workers })).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("d\n");
  });

  test("that is ending is not opened again by a reload", async () => {
    const [port = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config({ workers }));
    const socket = await dialIn(gateway.port());
    socket.write("?\n");
    await readUntil(socket, (text) => text.endsWith("\n"));
    gateway.process.kill("SIGQUIT");
    await turn(gateway);
    expect(await reloaded(gateway, { says: "b", workers, port })).toMatchObject({
      msg: "reload failed",
      reason: "the gateway is ending",
    });
    const [refused] = await once(connect(port, "127.0.0.1"), "error");
    expect(refused).toMatchObject({ code: "ECONNREFUSED" });
    socket.end();
    expect(await gateway.stop("SIGQUIT")).toBe(0);
  });
});

test("signals that wait behind a reload are one", async () => {
  await using gateway = await Gateway.start(config({}));
  const top = `import { existsSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";`;
  const phases = `init: async () => { told({ init: "b" }); while (!existsSync(import.meta.dirname + "/go")) await sleep(5); }`;
  hang(gateway, { says: "b", top, phases });
  await gateway.line((line) => line["init"] === "b");
  for (let signal = 0; signal < 10; signal++) {
    gateway.process.kill("SIGHUP");
    await turn(gateway);
  }
  write(gateway, { says: "c" }); // whoever waits has not read the file yet
  writeFileSync(join(gateway.folder, "go"), "");
  await eventually(async () => expect(await exchange(gateway.port(), "?\n")).toBe("c\n"));
  expect(await tell(gateway, "reload")).toMatchObject({ stdout: "reloaded: generation 4\n" }); // after whatever else waited
});
