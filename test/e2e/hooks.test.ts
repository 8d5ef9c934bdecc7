import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { openFiles } from "../support/process.ts";
import { shell } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What hooks and content handlers may do to a session, and what clients may do to them.

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await echo();
  gateway = await Gateway.start(
    `
import { appendFileSync } from "node:fs";
import { content, defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { tls } from "restyconf/preread";
const never = (session) => new Promise(() => console.log("waits " + session.server));
const forever = otherwise(content(never));
const onEcho = otherwise(proxy("echo"));
const server = (routes, more = {}) => ({ listen: "127.0.0.1:0", routes, ...more });
const handler = (work) => server([otherwise(content(work))]);
/** For what only an idle timeout ends. */
const hasty = (work) => server([otherwise(content(work))], { idleTimeoutMs: 500 });
export default defineGateway({
  upstreams: { echo: { peers: ["${peer.address}"] }, nowhere: { peers: ["nowhere.invalid:1"] } },
  servers: {
    two: handler(async (session) => { await Promise.all([session.write("a".repeat(200_000)), session.write("b")]); }),
    shut: handler(async (session) => {
      await session.write("x");
      await session.shutdown("send");
      const again = await session.write("y").catch((error) => error.message);
      const twice = await session.shutdown("send").catch((error) => error.message);
      const { data } = await session.reader.receive();
      throw new Error([again, twice, data].join(" | "));
    }),
    slow: server([otherwise(content(async (session) => { await session.write(new Uint8Array(30_000_000)); }))], { idleTimeoutMs: 3_000 }),
    stuck: hasty(async (session) => { await Promise.all([session.write("x"), session.write(new Uint8Array(30_000_000))]); }),
    glue: handler(async (session) => { session.write("c".repeat(200_000)); await session.reader.receive(4); return proxy("echo"); }),
    forgotten: hasty(async (session) => { session.write(new Uint8Array(30_000_000)); }),
    shutproxy: handler(async (session) => { await session.shutdown("send"); return proxy("echo"); }),
    leaving: hasty(async (session) => { session.write(new Uint8Array(30_000_000)); throw new Error("left"); }),
    dialog: server([otherwise(content(async (session) => {
      await session.reader.receive();
      await session.write("go\\n");
      const started = await session.startTls().then(() => "tls", (error) => error.code);
      await session.write(started);
      await never(session);
    }))], { ssl: { mode: "starttls", certs: "." }, phases: { sslCertificate: async () => undefined } }),
    nowhere: server([otherwise(proxy("nowhere"))]),
    number: server([otherwise(content(() => 5))]),
    truth: server([onEcho], { phases: { access: () => true } }),
    falsehood: server([onEcho], { phases: { access: () => false } }),
    text: server([onEcho], { phases: { preread: () => "x" } }),
    status: server([onEcho], { phases: { access: () => reject("x", { status: 10n }) } }),
    peeking: server([onEcho], { phases: { preread: async (session) => {
      session.reader.setTimeout(200);
      await Promise.race([session.peek(100), new Promise((resolve) => setTimeout(resolve, 50))]);
    } } }),
    guarded: server([otherwise(content(async (session) => { await session.reader.receive(3); return proxy("echo"); }))],
      { phases: { access: (session) => (session.upstream === "echo" ? reject("not by this way") : undefined) } }),
    preread: server([onEcho], { phases: { preread: never } }),
    access: server([onEcho], { phases: { access: never } }),
    balancer: server([onEcho], { phases: { balancer: never } }),
    content: server([forever]),
    aborted: server([otherwise(content(async (session) => {
      console.log("waits aborted");
      await new Promise((resolve) => session.signal.addEventListener("abort", resolve));
      appendFileSync(new URL("aborted.txt", import.meta.url), "aborted\\n");
    }))]),
    log: server([onEcho], { phases: { log: never } }),
    trickle: server([onEcho], { preread: { timeoutMs: 300 }, phases: { preread: async (session) => {
      const { err } = await session.peek(100);
      return reject(String(err));
    } } }),
    alert: server([on(tls({ serverName: "refused.test" }), reject("not here")), onEcho], { ssl: { mode: "auto", certs: "." } }),
  },
});`,
    { ports: 25, files: await certificateFiles() },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

async function lineAfter(server: string, act: () => Promise<unknown>): Promise<LogLine> {
  const before = gateway.log.length;
  await act();
  return gateway.access((line) => line["server"] === server && gateway.log.indexOf(line) >= before);
}

describe("session.write", () => {
  test("keeps the order of its calls, also of those that nobody waited for", async () => {
    expect(await exchange(gateway.port("two"), "?")).toBe(`${"a".repeat(200_000)}b`);
  });

  test("is finished before a relay goes on with the session", async () => {
    expect(await exchange(gateway.port("glue"), "glue!")).toBe(`${"c".repeat(200_000)}!`);
  });

  test("after shutdown is the hook's mistake, and reading goes on", async () => {
    const line = await lineAfter("shut", async () => {
      const socket = await dialIn(gateway.port("shut"));
      socket.write("line\n");
      expect((await readAll(socket)).toString()).toBe("x");
      socket.destroy();
    });
    expect(line).toMatchObject({
      reason: "hook failed: content: write: after shutdown | shutdown: already shutdown | line",
      bytes_sent: 1,
    });
  });

  test("goes on for as long as a slow client takes some of it, and counts what left", async () => {
    const line = await lineAfter("slow", async () => {
      const socket = await dialIn(gateway.port("slow"));
      socket.write("?");
      for (let round = 0; round < 20; round++) {
        await sleep(200); // longer than the idle timeout in all, but never silent for so long
        socket.resume();
        await sleep(5);
        socket.pause();
      }
      await readAll(socket.resume());
      socket.destroy();
    });
    expect(line).toMatchObject({ end_cause: "content_done", bytes_sent: 30_000_000 });
  });

  test("that nobody waited for ends the session as one that was awaited", async () => {
    const socket = await dialIn(gateway.port("forgotten"));
    socket.pause();
    socket.write("?");
    const line = await gateway.access((one) => one["server"] === "forgotten");
    expect(line).toMatchObject({ end_cause: "idle_timeout", code: "RC_IDLE_TIMEOUT" });
    socket.destroy();
  });

  test("that nobody waited for does not hold a client that reads nothing", async () => {
    const files = openFiles(gateway.process.pid);
    const socket = await dialIn(gateway.port("leaving"));
    socket.pause();
    socket.write("?");
    await gateway.access((one) => one["server"] === "leaving");
    await eventually(() => expect(openFiles(gateway.process.pid)).toBeLessThanOrEqual(files));
    socket.destroy();
  });

  test("and shutdown leave nothing for a peer to say", async () => {
    const line = await lineAfter("shutproxy", () => exchange(gateway.port("shutproxy"), "x"));
    expect(line).toMatchObject({ end_cause: "hook_failed", reason: expect.stringContaining("after shutdown") });
  });

  test.each(["stuck"])("gives up on a client that takes nothing: %s", async (server) => {
    const socket = await dialIn(gateway.port(server));
    socket.pause();
    socket.write("?");
    const line = await gateway.access((one) => one["server"] === server);
    expect(Number(line["bytes_sent"])).toBeLessThan(20_000_000);
    expect(Number(line["session_time"])).toBeLessThan(20); // it would never end
    socket.destroy();
  });
});

describe("what a hook must not return ends its session, and nothing else", () => {
  test.each([
    ["number", "content: returned no action but number"],
    ["truth", "access: returned no action but boolean"],
    ["falsehood", "access: returned no action but boolean"],
    ["text", "preread: returned no action but string"],
    ["status", "access: reject: bad status 10"],
  ])("%s", async (server, reason) => {
    const line = await lineAfter(server, () => exchange(gateway.port(server), "x"));
    expect(line).toMatchObject({ code: "RC_HOOK_FAILED", status: 500, reason: `hook failed: ${reason}` });
    expect(await exchange(gateway.port("two"), "?")).toHaveLength(200_001);
  });
});

test("a read that a hook left behind does not stop the relay", async () => {
  const socket = await dialIn(gateway.port("peeking"));
  socket.write("1");
  await readUntil(socket, (text) => text === "1");
  await sleep(300); // past the reader's timeout
  socket.end("2");
  expect((await readAll(socket)).toString()).toBe("2");
});

test("access is asked again about the action that a content handler returns", async () => {
  const line = await lineAfter("guarded", () => exchange(gateway.port("guarded"), "abcdef"));
  expect(line).toMatchObject({ end_cause: "rejected", phase: "access", reason: "rejected: not by this way" });
});

test("what a preread hook reads is within the preread limit, however slowly it comes", async () => {
  const line = await lineAfter("trickle", async () => {
    const socket = await dialIn(gateway.port("trickle"));
    const trickle = setInterval(() => socket.write("."), 100);
    await readAll(socket);
    clearInterval(trickle);
    socket.destroy();
  });
  expect(line).toMatchObject({ reason: "rejected: timeout" });
  expect(Number(line["session_time"])).toBeLessThan(9.5); // with a limit per byte it would take ten
});

test("a peer that cannot be resolved is logged with the phase that looked for it", async () => {
  const line = await lineAfter("nowhere", () => exchange(gateway.port("nowhere"), "x"));
  expect(line).toMatchObject({ code: "RC_PEER_RESOLVE", phase: "balancer" });
});

test("a TLS client whose name is refused hears it in an alert", async () => {
  const { stderr } = await shell(
    `echo | timeout 5 openssl s_client -connect 127.0.0.1:${gateway.port("alert")} -servername refused.test`,
  );
  expect(stderr).toContain("alert access denied");
});

describe.each(["preread", "access", "balancer", "content", "aborted"])(
  "a client that resets while %s waits",
  (server) => {
    test("ends the session at once", async () => {
      const line = await lineAfter(server, async () => {
        const socket = await dialIn(gateway.port(server));
        socket.write("x");
        await eventually(() => expect(gateway.stdout).toContain(`waits ${server}\n`));
        socket.resetAndDestroy();
      });
      expect(line).toMatchObject({ end_cause: "client_reset", phase: server === "aborted" ? "content" : server });
    });
  },
);

test("a log hook that never ends does not hold up the access line", async () => {
  const line = await lineAfter("log", () => exchange(gateway.port("log"), "x"));
  expect(line).toMatchObject({ end_cause: "client_closed" });
});

/** A client that has gone through the dialog, with TLS on. */
async function upgraded(port: number): Promise<{ plain: Socket; secure: TLSSocket }> {
  const plain = await dialIn(port);
  plain.write("STARTTLS\n");
  await once(plain, "data");
  const secure = connectTls({ socket: plain, rejectUnauthorized: false });
  secure.on("error", () => {});
  await once(secure, "data");
  return { plain, secure };
}

describe("inside a STARTTLS dialog", () => {
  test("a client that resets after TLS has begun ends the session at once", async () => {
    const line = await lineAfter("dialog", async () => {
      const { plain } = await upgraded(gateway.port("dialog"));
      plain.resetAndDestroy();
    });
    expect(line).toMatchObject({ end_cause: "client_reset", phase: "content", ssl_protocol: "TLSv1.3" });
  });

  test("a failed upgrade leaves the dialog where it was", async () => {
    const plain = await dialIn(gateway.port("dialog"));
    plain.write("STARTTLS\nMAIL FROM:<eve>\n");
    await readUntil(plain, (text) => text.endsWith("RC_TLS_PLAIN"));
    plain.resetAndDestroy();
  });
});

test("sessions whose hooks never end are logged when the gateway stops", async () => {
  await using other = await Gateway.start(
    `import { content, defineGateway, otherwise } from "restyconf";
     const never = () => new Promise(() => {});
     export default defineGateway({ servers: {
       content: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => { await session.write("in"); await never(); }))] },
       tls: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(content(async (session) => { await session.write("in"); await never(); }))] },
       dialog: { listen: "127.0.0.1:0", ssl: { mode: "starttls", certs: "." }, phases: { sslCertificate: async () => undefined },
         routes: [otherwise(content(async (session) => {
           await session.reader.receive();
           await session.write("go\\n");
           await session.startTls();
           await session.write("tls");
           await never();
         }))] },
     } });`,
    { ports: 3, files: await certificateFiles() },
  );
  const { plain: dialog } = await upgraded(other.port("dialog"));
  const plain = await dialIn(other.port("content"));
  await readUntil(plain, (text) => text === "in");
  const secure = await dialTls(other.port("tls"));
  secure.write("x");
  await readUntil(secure, (text) => text === "in");
  const began = performance.now();
  expect(await other.stop("SIGTERM")).toBe(0);
  expect(performance.now() - began).toBeLessThan(4_500); // not the five seconds after which it would end in any case
  const ended = other.log.filter((line) => "end_cause" in line);
  expect(ended.map((line) => [line["server"], line["end_cause"], line["status"]]).sort()).toEqual([
    ["content", "shutdown", 200],
    ["dialog", "shutdown", 200],
    ["tls", "shutdown", 200],
  ]);
  for (const socket of [plain, secure, dialog]) socket.destroy();
});
