import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { freePorts } from "../support/service.ts";

// A configuration that changes under a gateway that serves: nobody is refused, reset or forgotten.

const answers = (text: string): string => `otherwise(content(async (session) => { await session.end("${text}"); }))`;

function config(servers: string, phases = ""): string {
  return `import { content, defineGateway, on, otherwise, proxy, reject, silent } from "restyconf";
    import { http, mqtt } from "restyconf/preread";
    const told = (what) => console.error(JSON.stringify(what));
    const talk = content(async (session) => {
      for (;;) {
        const { data, err } = await session.reader.receive();
        if (err) return;
        await session.write(session.worker.generation + " " + data + "\\n");
      }
    });
    export default defineGateway({ servers: { ${servers} }, phases: { ${phases} } });`;
}

class Reloaded {
  readonly gateway: Gateway;
  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  /** Writes the file anew, asks for a reload and waits for what becomes of it. */
  async to(text: string): Promise<LogLine> {
    writeFileSync(join(this.gateway.folder, "restyconf.config.ts"), text);
    const before = this.gateway.log.length;
    this.gateway.process.kill("SIGHUP");
    return this.gateway.line(
      (line) =>
        ["reload done", "reload failed"].includes(String(line["msg"])) && this.gateway.log.indexOf(line) >= before,
    );
  }
}

describe("a reload", () => {
  test("gives new sessions the new configuration, and leaves running ones theirs", async () => {
    await using gateway = await Gateway.start(config(`edge: { listen: "127.0.0.1:0", routes: [otherwise(talk)] }`));
    const long = await dialIn(gateway.port());
    long.write("a\n");
    expect(await readUntil(long, (text) => text.endsWith("\n"))).toBe("1 a\n");
    expect(
      await new Reloaded(gateway).to(config(`edge: { listen: "127.0.0.1:0", routes: [${answers("new")}] }`)),
    ).toMatchObject({
      msg: "reload done",
      generation: 2,
    });
    expect(await exchange(gateway.port(), "x")).toBe("new");
    long.write("b\n");
    expect(await readUntil(long, (text) => text.endsWith("\n"))).toBe("1 b\n");
    long.destroy();
  });

  test("opens new ports, closes those that are gone without touching their sessions, and keeps the others", async () => {
    const [first = 0, second = 0] = await freePorts(2);
    const at = (name: string, port: number): string =>
      `${name}: { listen: "127.0.0.1:${port}", routes: [otherwise(talk)] }`;
    await using gateway = await Gateway.start(config(`${at("kept", 0)}, ${at("gone", first)}`), { ports: 2 });
    const session = await dialIn(first);
    session.write("a\n");
    await readUntil(session, (text) => text.endsWith("\n"));
    await new Reloaded(gateway).to(config(`${at("kept", 0)}, ${at("added", second)}`));
    const socket = await dialIn(second);
    socket.write("c\n");
    expect(await readUntil(socket, (text) => text.endsWith("\n"))).toBe("2 c\n");
    await eventually(() => expect(dialIn(first)).rejects.toMatchObject({ code: "ECONNREFUSED" })); // the carrier closes it in its own time
    session.write("b\n");
    expect(await readUntil(session, (text) => text.endsWith("\n"))).toBe("1 b\n");
    const kept = await dialIn(gateway.port("kept"));
    kept.write("d\n");
    expect(await readUntil(kept, (text) => text.endsWith("\n"))).toBe("2 d\n");
    for (const one of [session, socket, kept]) one.destroy();
  });

  test.each([
    ["is no TypeScript", `export default {`, /restyconf\.config\.ts:1:\d+/],
    [
      "names what there is not",
      config(`edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("nobody"))] }`),
      /nobody/,
    ],
    [
      "throws while it is evaluated",
      `throw new Error("broken on purpose");`,
      /restyconf\.config\.ts:1:\d+.*broken on purpose/,
    ],
    [
      "fails in init",
      config(
        `edge: { listen: "127.0.0.1:0", routes: [${answers("new")}] }`,
        `init: () => { throw new Error("not today"); }`,
      ),
      /not today/,
    ],
    [
      "fails in check",
      config(
        `edge: { listen: "127.0.0.1:0", routes: [${answers("new")}] }`,
        `check: async () => { throw new Error("no, check"); }`,
      ),
      /no, check/,
    ],
    [
      "fails in initWorker",
      config(
        `edge: { listen: "127.0.0.1:0", routes: [${answers("new")}] }`,
        `initWorker: async () => { throw new Error("no worker"); }`,
      ),
      /no worker/,
    ],
    [
      "wants a port that is taken",
      config(`edge: { listen: ["127.0.0.1:0", "127.0.0.1:PEER"], routes: [${answers("new")}] }`),
      /EADDRINUSE/,
    ],
  ])("to a configuration that %s leaves the old one", async (_, text, reason) => {
    await using gateway = await Gateway.start(
      config(
        `edge: { listen: "127.0.0.1:0", routes: [${answers("old")}] }, peer: { listen: "127.0.0.1:0", routes: [${answers("peer")}] }`,
      ),
      { ports: 2 },
    );
    const line = await new Reloaded(gateway).to(text.replace("PEER", String(gateway.port("peer"))));
    expect(line).toMatchObject({ msg: "reload failed", generation: 1, reason: expect.stringMatching(reason) });
    expect(await exchange(gateway.port("edge"), "x")).toBe("old");
  });

  test("ends a configuration when its last session has left, and the one before the last at once", async () => {
    const told = `initWorker: (worker) => { worker.signal.addEventListener("abort", () => told({ aborted: worker.generation })); },
      exitWorker: (worker) => told({ ended: worker.generation })`;
    const text = config(`edge: { listen: "127.0.0.1:0", routes: [otherwise(talk)] }`, told);
    await using gateway = await Gateway.start(text);
    const reloaded = new Reloaded(gateway);
    const long = await dialIn(gateway.port());
    long.write("a\n");
    await readUntil(long, (one) => one.endsWith("\n"));
    for (const generation of [2, 3, 4]) expect(await reloaded.to(text)).toMatchObject({ generation });
    await gateway.line((line) => line["ended"] === 2); // 3 is kept for a rollback, 1 has a session
    expect(gateway.log.filter((line) => "ended" in line).map((line) => line["ended"])).toEqual([2]);
    long.end();
    await gateway.line((line) => line["ended"] === 1);
    expect(gateway.log.filter((line) => "aborted" in line).map((line) => line["aborted"])).toEqual([2, 1]);
  });

  test("keeps a configuration for clients of a port that is gone who have said nothing yet", async () => {
    const told = `exitWorker: (worker) => told({ ended: worker.generation })`;
    const talks = `routes: [on(http(), reject("no web")), otherwise(talk)]`;
    const kept = `kept: { listen: "127.0.0.1:0", ${talks} }`;
    const [port = 0] = await freePorts(1);
    const gone = `gone: { listen: "127.0.0.1:${port}", preread: { timeoutMs: 60_000 }, ${talks} }`;
    await using gateway = await Gateway.start(config(`${kept}, ${gone}`, told), { ports: 2 });
    const reloaded = new Reloaded(gateway);
    const silent = await dialIn(port);
    await exchange(port, "x\n"); // who came before is accepted
    for (const generation of [2, 3, 4]) {
      expect(await reloaded.to(config(kept, told))).toMatchObject({ msg: "reload done", generation });
    }
    await gateway.line((line) => line["ended"] === 2); // 3 is kept for a rollback
    expect(gateway.log.filter((line) => line["ended"] === 1)).toEqual([]);
    silent.write("a\n");
    expect(await readUntil(silent, (text) => text.endsWith("\n"))).toBe("1 a\n");
    expect(gateway.log.filter((line) => line["ended"] === 1)).toEqual([]);
    silent.destroy();
    await gateway.line((line) => line["ended"] === 1);
  });

  test("under load refuses, resets and loses nothing, also where the rules of its ports change", async () => {
    const server = (n: number): string =>
      `edge: { listen: "127.0.0.1:0", preread: { timeoutMs: ${5_000 + n} }, keepAliveMs: ${60_000 + n}, routes: [on(http(), reject("x")), otherwise(talk)] },
       secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(talk)] }`;
    await using gateway = await Gateway.start(config(server(0)), { ports: 2, files: await certificateFiles() });
    const reloaded = new Reloaded(gateway);
    const long = await Promise.all([dialIn(gateway.port("edge")), dialTls(gateway.port("secure"))]);
    const ask = async (socket: Socket, text: string): Promise<string> => {
      socket.write(`${text}\n`);
      return readUntil(socket, (answer) => answer.endsWith("\n"));
    };
    for (const socket of long) expect(await ask(socket, "0")).toBe("1 0\n");
    let runs = true;
    let served = 0;
    const load = Array.from({ length: 8 }, async (_, client) => {
      while (runs) {
        const socket = client % 4 === 0 ? await dialTls(gateway.port("secure")) : await dialIn(gateway.port("edge"));
        socket.end(`${client}\n`);
        expect((await readAll(socket)).toString()).toMatch(new RegExp(`^\\d+ ${client}\\n$`));
        served++;
      }
    });
    for (let n = 1; n <= 20; n++) {
      expect(await reloaded.to(config(server(n)))).toMatchObject({ generation: n + 1 });
      for (const socket of long) {
        expect(await ask(socket, String(n))).toBe(`1 ${n}\n`);
      }
    }
    runs = false;
    await Promise.all(load);
    expect(served).toBeGreaterThan(100);
    for (const socket of long) socket.destroy();
    await eventually(() => {
      const ended = gateway.log.filter((line) => "end_cause" in line);
      expect(ended).toHaveLength(served + long.length);
      expect(ended.filter((line) => line["status"] !== 200)).toEqual([]);
    });
  });
});
