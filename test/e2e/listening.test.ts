import { spawnSync } from "node:child_process";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { cpuMs } from "../support/process.ts";
import { echo, type TestServer } from "../support/servers.ts";
import { freePorts } from "../support/service.ts";

let peer: TestServer;
let folder: string;
beforeAll(async () => {
  peer = await echo();
  folder = mkdtempSync(join(tmpdir(), "restyconf-listen-"));
});
afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const config = (listen: unknown, more = ""): string => `
  import { defineGateway, otherwise, proxy } from "restyconf";
  export default defineGateway({
    upstreams: { echo: { peers: ["${peer.address}"] } },
    servers: { edge: { listen: ${JSON.stringify(listen)}, routes: [otherwise(proxy("echo"))] } },
    ${more}
  });`;

describe("a server", () => {
  test("listens on IPv4, IPv6 and a unix socket at once, and names each on stdout", async () => {
    const path = join(folder, "edge.sock");
    await using gateway = await Gateway.start(config(["127.0.0.1:0", "[::1]:0", `unix:${path}`]), { ports: 3 });
    expect(gateway.addresses).toEqual([
      expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^\[::1\]:\d+$/),
      `unix:${path}`,
    ]);
    expect(await exchange(gateway.port("edge", 0), "four")).toBe("four");
    const six = await dialIn(gateway.port("edge", 1), "::1");
    six.end("six");
    expect((await readAll(six)).toString()).toBe("six");
    const unix = connect({ path, allowHalfOpen: true });
    unix.end("unix");
    expect((await readAll(unix)).toString()).toBe("unix");
    const lines = await gateway.sessions(3);
    expect(lines.map((line) => line["remote_addr"]).sort()).toEqual(["127.0.0.1", "::1", "unix:"]);
  });

  test.each([1, 2])("listens where a name leads, with %i workers", async (workers) => {
    await using gateway = await Gateway.start(config("localhost:0", `workers: ${workers},`));
    expect(gateway.addresses).toEqual([expect.stringMatching(/^localhost:\d+$/)]);
    const { address } = await lookup("localhost");
    const client = await dialIn(gateway.port(), address);
    client.end("x");
    expect((await readAll(client)).toString()).toBe("x");
  });

  test.each([1, 2])(
    "does not start where two names of its own lead to one address, with %i workers",
    async (workers) => {
      const [port = 0] = await freePorts(1);
      const { address, family } = await lookup("localhost");
      const ip = family === 6 ? `[${address}]` : address;
      const starting = Gateway.start(config([`localhost:${port}`, `${ip}:${port}`], `workers: ${workers},`), {
        ports: 2,
      });
      await expect(starting).rejects.toThrow("EADDRINUSE");
    },
  );

  test("listens on both wildcards with one port", async () => {
    const [port = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config([`0.0.0.0:${port}`, `[::]:${port}`]), { ports: 2 });
    expect(gateway.addresses).toHaveLength(2);
    expect(await exchange(port, "x")).toBe("x");
  });

  test("takes IPv4 clients on [::] alone, and logs them as IPv4", async () => {
    await using gateway = await Gateway.start(config("[::]:0"));
    expect(await exchange(gateway.port(), "x")).toBe("x");
    expect(await gateway.access()).toMatchObject({ remote_addr: "127.0.0.1" });
  });

  test("takes the place of a unix socket that a killed process left behind, and removes its own", async () => {
    const path = join(folder, "stale.sock");
    const first = await Gateway.start(config(`unix:${path}`));
    await first.stop("SIGKILL");
    expect(statSync(path).isSocket()).toBe(true);
    const second = await Gateway.start(config(`unix:${path}`));
    expect(await second.stop("SIGTERM")).toBe(0);
    expect(() => statSync(path)).toThrow("ENOENT");
    await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
  });

  test("that cannot be bound ends the start with exit code 3, and nothing else stays open", async () => {
    await expect(Gateway.start(config(["127.0.0.1:0", peer.address]), { ports: 3 })).rejects.toThrow(
      /exit 3[\s\S]*EADDRINUSE/,
    );
  });

  test("keeps its clients' connections alive and undelayed by socket options", async () => {
    await using gateway = await Gateway.start(config("127.0.0.1:0"));
    const socket = await dialIn(gateway.port());
    socket.write("x");
    await once(socket, "data");
    const seen = (): string =>
      spawnSync("ss", ["-tnoH", "state", "established", `( sport = :${gateway.port()} )`], { encoding: "utf8" }).stdout;
    await eventually(() => expect(seen()).toContain("timer:(keepalive")); // those that end at once need none
    socket.destroy();
  });
});

/** Less than Node needs to load our modules would prove nothing: it reads many of them at once. */
const FEW_FILES = 160;

describe("at the limit of open files", () => {
  const limited = (files: number): string[] => ["bash", "-c", `ulimit -n ${files}; exec "$@"`, "--"];

  test("no more sessions are taken than fit, the rest is turned away at once and counted in the log", async () => {
    await using gateway = await Gateway.start(config("127.0.0.1:0"), { wrap: limited(FEW_FILES) });
    const { sessions, open_files } = await gateway.line((line) => line["msg"] === "session limit");
    expect(open_files).toBe(FEW_FILES);
    expect(sessions).toBeLessThan(FEW_FILES * 0.45);
    const sockets = await crowd(gateway.port(), 130);
    await gateway.line((line) => line["msg"] === "no room for more sessions");
    for (const socket of sockets) socket.destroy();
    await gateway.sessions(Number(sessions));
    // Those that still wait in the kernel's queue may take the places for a moment, dead as they are.
    await eventually(async () => expect(await exchange(gateway.port(), "room again")).toBe("room again"));
  });

  test("accepts that fail neither spin nor kill the listener, and are reported at most once a second", async () => {
    // Files that something else has opened: the limit derived from the system's is too high now.
    const hog = `phases: { initWorker: async () => { const { openSync } = await import("node:fs");
      try { for (;;) openSync("/dev/null"); } catch {} globalThis.hogged = true; } },`;
    await using gateway = await Gateway.start(
      config("127.0.0.1:0", hog.replace("for (;;)", "for (let n = 0; n < 115; n++)")),
      {
        wrap: limited(FEW_FILES),
      },
    );
    const began = performance.now();
    const sockets = await crowd(gateway.port(), 120);
    // The carrier has come to those that it has no file for; Node tells of none.
    if (process.env["RESTYCONF_CARRIER"] !== "node") await gateway.line((line) => line["msg"] === "accept failed");
    const before = cpuMs(gateway.process.pid);
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // the measured second
    expect(cpuMs(gateway.process.pid) - before).toBeLessThan(300);
    const failures = gateway.log.filter((line) => line["msg"] === "accept failed");
    expect(failures.length).toBeLessThanOrEqual(Math.ceil((performance.now() - began) / 1_000) + 1);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => expect(await exchange(gateway.port(), "alive")).toBe("alive"));
  });
});

test("a machine that has no file descriptor left blames no peer for it", async () => {
  await using gateway = await Gateway.start(
    `import { closeSync, openSync } from "node:fs";
     import { defineGateway, otherwise, proxy } from "restyconf";
     export default defineGateway({
       upstreams: { echo: { peers: ["${peer.address}", "127.0.0.1:${peer.port}"].slice(0, 1).concat("localhost:${peer.port}") } },
       servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))] } },
       phases: { initWorker: () => {
         const hogged = [];
         process.on("SIGWINCH", () => {
           if (hogged.length > 0) {
             for (const file of hogged.splice(0)) closeSync(file);
             process.stderr.write('{"msg":"free"}\\n');
             return;
           }
           // All descriptors but the one that the next client takes.
           try { for (;;) hogged.push(openSync("/dev/null")); } catch {}
           closeSync(hogged.pop());
           process.stderr.write('{"msg":"hogged"}\\n');
         });
       } },
     });`,
    { wrap: ["bash", "-c", `ulimit -n ${FEW_FILES}; exec "$@"`, "--"] },
  );
  gateway.process.kill("SIGWINCH");
  await gateway.line((line) => line["msg"] === "hogged");
  await exchange(gateway.port(), "x");
  expect(await gateway.access()).toMatchObject({ code: "RC_NO_SOCKET", status: 500, end_cause: "connect_failed" });
  gateway.process.kill("SIGWINCH");
  await gateway.line((line) => line["msg"] === "free");
  expect(await exchange(gateway.port(), "again")).toBe("again");
});

/** So many clients at once; some are turned away, which is what the tests are about. */
async function crowd(port: number, size: number): Promise<Socket[]> {
  const sockets = Array.from({ length: size }, () => connect({ port, host: "127.0.0.1" }));
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on("error", () => resolve());
          socket.once("connect", () => resolve(void socket.write("x")));
        }),
    ),
  );
  return sockets;
}
