import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { openFiles, openFilesOf } from "../support/process.ts";
import { echo, type TestServer } from "../support/servers.ts";

// Changes of configuration and of processes one after the other for a long time, under load: clients see none of it, and nothing
// is left behind. What is printed by the long run stands in docs/reload.md.

const LONG = process.env["RESTYCONF_LONG"] === "1";
const RELOADS = LONG ? 1_000 : 50;
const REPLACEMENTS = LONG ? 100 : 4;
const WORKERS = 2;
/** Before anything is compared: code is compiled and caches are filled by then. */
const WARM_RELOADS = 10;
/** What one reload may leave in the heap of a worker: Node never forgets a module, so the bundle's code stays. */
const HEAP_PER_RELOAD = 131_072;
const PATIENCE_MS = LONG ? 3_600_000 : 120_000;

let peer: TestServer;
let gateway: Gateway;

/** `n` changes the rules of the ports and the hooks, and a port comes and goes. */
function config(n: number): string {
  return `import { setFlagsFromString } from "node:v8";
    import { runInNewContext } from "node:vm";
    import { content, defineGateway, on, otherwise, proxy } from "restyconf";
    import { http } from "restyconf/preread";
    setFlagsFromString("--expose-gc");
    const gc = (globalThis.gc ??= runInNewContext("gc")); // a context of its own stays as long as the process
    const heap = content(async (session) => {
      gc(); gc();
      await session.write(process.pid + " " + process.memoryUsage().heapUsed);
    });
    const port = { listen: "127.0.0.1:0", preread: { timeoutMs: ${5_000 + n} }, keepAliveMs: ${60_000 + n},
      phases: { preread: async (session) => { await session.reader.peek(1, { orLess: true }); session.vars.round; } } };
    export default defineGateway({
      workers: ${WORKERS},
      upstreams: { echo: { peers: ["${peer.address}"] } },
      phases: { set: { round: () => ${n} } },
      servers: {
        edge: { ...port, routes: [on(http(), proxy("echo")), otherwise(proxy("echo"))] },
        secure: { ...port, ssl: { mode: "always", certs: "." }, routes: [otherwise(proxy("echo"))] },
        heap: { listen: "127.0.0.1:0", routes: [otherwise(heap)] },
        ${n % 2 === 1 ? `odd: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))] },` : ""}
      },
    });`;
}

beforeAll(async () => {
  peer = await echo();
  gateway = await Gateway.start(config(0), { ports: 3, files: await certificateFiles() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

const dial = (isSecure: boolean): Promise<Socket> =>
  isSecure ? dialTls(gateway.port("secure")) : dialIn(gateway.port("edge"));

/** Clients that come and go, and clients that stay: all of them get back each byte that they send. */
class Load {
  served = 0;
  bytes = 0;
  readonly faults: unknown[] = [];
  readonly #running: readonly Promise<void>[];
  #isOver = false;

  constructor() {
    const short = Array.from({ length: 4 }, (_, index) => this.#comeAndGo(index === 0));
    const long = [false, false, true].map((isSecure) => this.#stay(isSecure));
    this.#running = [...short, ...long].map((client) => client.catch((cause) => void this.faults.push(cause)));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #comeAndGo(isSecure: boolean): Promise<void> {
    while (!this.#isOver) {
      const socket = await dial(isSecure);
      const sent = randomBytes(1 + Math.floor(Math.random() * 5_000));
      socket.end(sent);
      expect((await readAll(socket)).equals(sent)).toBe(true);
      socket.destroy();
      this.served++;
    }
  }

  /** One session from the first reload to the last. */
  async #stay(isSecure: boolean): Promise<void> {
    const socket = await dial(isSecure);
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    let owed = 0;
    socket.on("data", (chunk: Buffer) => {
      received.update(chunk);
      owed -= chunk.length;
      this.bytes += chunk.length;
    });
    while (!this.#isOver) {
      const piece = randomBytes(1 + Math.floor(Math.random() * 20_000));
      sent.update(piece);
      owed += piece.length;
      socket.write(piece);
      await eventually(() => expect(owed).toBe(0), 20_000);
    }
    const ended = readAll(socket);
    socket.end();
    await ended;
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  }
}

interface Held {
  readonly heapBytes: number;
  readonly files: number;
}

/** Asks until each worker has answered: the most that one of them holds. Pipes are the carrier's, which keeps some. */
async function held(): Promise<Held> {
  const heaps = new Map<number, number>();
  await eventually(async () => {
    const [pid = 0, bytes = 0] = (await exchange(gateway.port("heap"), "?")).split(" ").map(Number);
    heaps.set(pid, bytes);
    expect(heaps.size).toBe(WORKERS);
  });
  const files = [...heaps.keys()].map((pid) => openFiles(pid) - openFilesOf(pid, "pipe:"));
  return { heapBytes: Math.max(...heaps.values()), files: Math.max(...files) };
}

async function change(signal: NodeJS.Signals): Promise<void> {
  const before = gateway.log.length;
  gateway.process.kill(signal);
  const line = await gateway.line(
    (one) => / (?:done|failed)$/.test(String(one["msg"])) && gateway.log.indexOf(one, before) >= before,
  );
  expect(line["msg"]).toMatch(/^(?:reload|replacement) done$/);
  expect(gateway.log.filter(({ level, msg }) => level === "error" || msg === "uncaught")).toEqual([]);
  gateway.log.length = 0; // a thousand of them would be looked through each time
}

async function reloads(count: number): Promise<void> {
  for (let n = 1; n <= count; n++) {
    writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(n));
    await change("SIGHUP");
  }
}

describe("under load", () => {
  test(
    `${RELOADS} reloads refuse, reset and lose nothing, and leave little in the heap`,
    async () => {
      const load = new Load();
      await reloads(WARM_RELOADS);
      const before = await held();
      await reloads(RELOADS);
      const perReload = Math.round(((await held()).heapBytes - before.heapBytes) / RELOADS);
      await load.stop();
      console.info(`${RELOADS} reloads, ${load.served} sessions, ${load.bytes} bytes: ${perReload} bytes of heap each`);
      expect(load.faults).toEqual([]);
      expect(load.served).toBeGreaterThan(RELOADS);
      expect(perReload).toBeLessThan(HEAP_PER_RELOAD);
      await eventually(async () => expect((await held()).files).toBeLessThanOrEqual(before.files));
    },
    PATIENCE_MS,
  );

  test(
    `${REPLACEMENTS} rolling replacements refuse, reset and lose nothing`,
    async () => {
      const load = new Load();
      for (let n = 0; n < REPLACEMENTS; n++) await change("SIGUSR2");
      await load.stop();
      expect(load.faults).toEqual([]);
      expect(load.served).toBeGreaterThan(REPLACEMENTS);
    },
    PATIENCE_MS,
  );
});
