import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ask as askGateway } from "../../src/admin/ask.ts";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { closed } from "../support/operated.ts";
import { type Ran, run } from "../support/programs.ts";

// What an operator tells a gateway that runs, by the command line.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

interface Version {
  readonly says: string;
  readonly workers?: number;
  /** A status from 500 on is a failure. */
  readonly status?: number;
}

/** Answers each line with its name; a client that says "bye" has its session ended with the status. */
function config({ says, workers = 1, status = 200 }: Version): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    const talk = content(async (session) => {
      for (;;) {
        const { data, err } = await session.reader.receive();
        if (err) return;
        await session.write("${says}\\n");
        if (String(data) === "bye") session.exit(${status});
      }
    });
    export default defineGateway({
      stateDir: "state", workers: ${workers}, servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(talk)] } },
    });`;
}

function start(version: Version): Promise<Gateway> {
  return Gateway.start(config(version));
}

function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

function write(gateway: Gateway, version: Version): void {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(version));
}

async function ask(socket: Socket, line = "?"): Promise<string> {
  socket.write(`${line}\n`);
  return (await readUntil(socket, (text) => text.endsWith("\n"))).trim();
}

test.each(["-1", "soon", "2160000"])(
  "a drain over %s seconds is refused, by the command and by the gateway, and ends no session",
  async (over) => {
    await using gateway = await start({ says: "a", workers: 2 });
    const socket = await dialIn(gateway.port());
    await ask(socket);
    expect(await tell(gateway, "drain", `--over=${over}`)).toMatchObject({
      code: 2,
      stderr: `restyconf: --over: expected seconds, 86400 at most, got ${over}\n`,
    });
    const asked = askGateway(join(gateway.folder, "state"), `POST /drain?overMs=${Number(over) * 1_000}`);
    await expect(asked).rejects.toThrow("overMs: expected more than 0 and at most 86400000");
    expect(await ask(socket)).toBe("a");
    socket.destroy();
  },
);

describe.each([1, 2])("a gateway of %i workers", (workers) => {
  test("says what it does, and lists and ends its sessions", async () => {
    await using gateway = await start({ says: "a", workers });
    const socket = await dialIn(gateway.port());
    await ask(socket);
    const status = JSON.parse((await tell(gateway, "status")).stdout);
    expect(status).toMatchObject({ pid: gateway.process.pid, generation: 1, listening: [{ server: "edge" }] });
    expect(status.workers).toHaveLength(workers);
    const sessions = (await tell(gateway, "sessions")).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(sessions).toEqual([expect.objectContaining({ server: "edge", remote_addr: "127.0.0.1", phase: "content" })]);
    expect((await tell(gateway, "kill", sessions[0].session)).stdout).toBe(`killed ${sessions[0].session}\n`);
    expect(await gateway.access()).toMatchObject({ end_cause: "killed" });
    expect(await tell(gateway, "kill", "nobody")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no session is called nobody"),
    });
    socket.destroy();
  });

  test("reloads, and goes back", async () => {
    await using gateway = await start({ says: "a", workers });
    write(gateway, { says: "b", workers });
    expect(await tell(gateway, "reload")).toMatchObject({ code: 0, stdout: "reloaded: generation 2\n" });
    expect(await exchange(gateway.port(), "?\n")).toBe("b\n");
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0, stdout: "rolled back: generation 1\n" });
    expect(await exchange(gateway.port(), "?\n")).toBe("a\n");
    expect(await tell(gateway, "rollback")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no configuration to go back to"),
    });
    writeFileSync(join(gateway.folder, "restyconf.config.ts"), "export default 1 +;");
    expect(await tell(gateway, "reload")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/restyconf\.config\.ts:1:\d+/),
    });
  });

  test("tries a configuration out on some of the sessions, until it is promoted", async () => {
    await using gateway = await start({ says: "a", workers });
    write(gateway, { says: "b", workers });
    expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
    const heard = new Set<string>();
    await eventually(async () => {
      heard.add(await exchange(gateway.port(), "?\n"));
      expect([...heard].sort()).toEqual(["a\n", "b\n"]);
    });
    expect(await tell(gateway, "promote")).toMatchObject({ stdout: "promoted: generation 2\n" });
    for (let session = 0; session < 10; session++) expect(await exchange(gateway.port(), "?\n")).toBe("b\n");
    expect(await tell(gateway, "promote")).toMatchObject({ code: 1 });
  });

  test("drops a configuration whose sessions fail, by itself", async () => {
    await using gateway = await start({ says: "a", workers });
    write(gateway, { says: "b", workers, status: 500 });
    await tell(gateway, "reload", "--canary", "50%");
    let runs = true;
    const load = (async () => {
      while (runs) await exchange(gateway.port(), "bye\n").catch(() => "");
    })();
    expect(await gateway.line((line) => line["msg"] === "canary fails")).toMatchObject({ level: "error" });
    expect(await gateway.line((line) => line["msg"] === "rollback done")).toMatchObject({ generation: 1 });
    runs = false;
    await load;
    for (let session = 0; session < 10; session++) expect(await exchange(gateway.port(), "?\n")).toBe("a\n");
  });

  test("is drained: its sessions are ended one after the other, and it ends with the last", async () => {
    await using gateway = await start({ says: "a", workers });
    const sockets = await Promise.all(Array.from({ length: 8 }, () => dialIn(gateway.port())));
    for (const socket of sockets) await ask(socket);
    const drained = await tell(gateway, "drain", "--over", "5"); // the command looks before it is over
    expect(drained).toMatchObject({ code: 0, stdout: expect.stringMatching(/sessions left\n(.*\n)*ended\n$/) });
    const ends = await gateway.sessions(8);
    for (const line of ends) expect(line).toMatchObject({ end_cause: "drained", status: 200 });
    const times = ends.map((line) => Date.parse(String(line["time"]))).sort();
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(500);
    for (const socket of sockets) socket.destroy();
  });

  test("quits when its sessions have ended, and stops at once", async () => {
    await using gateway = await start({ says: "a", workers });
    const socket = await dialIn(gateway.port());
    await ask(socket);
    const quitting = spawn(process.execPath, [CLI, "quit", "--config", join(gateway.folder, "restyconf.config.ts")]);
    const ended = once(quitting, "close");
    let said = "";
    quitting.stdout.on("data", (chunk) => {
      said += chunk;
    });
    await eventually(() => expect(said).toMatch(/sessions left\n/)); // it has looked before all is over
    await closed(gateway.port());
    expect(await ask(socket)).toBe("a");
    expect(await tell(gateway, "stop")).toMatchObject({ code: 0 });
    expect(await ended).toEqual([0, null]);
    expect(said).toMatch(/sessions left\n(.*\n)*ended\n$/);
    socket.destroy();
  });
});

test("a gateway that does not run cannot be told anything", async () => {
  const gateway = await start({ says: "a" });
  await gateway.stop();
  expect(await tell(gateway, "status")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("no gateway answers"),
  });
  await gateway[Symbol.asyncDispose]();
});
