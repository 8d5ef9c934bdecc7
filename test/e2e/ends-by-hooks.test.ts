import { afterAll, beforeAll, expect, test } from "vitest";
import { hello } from "../fixtures/client-hello/recorded.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, exchange, readAll, readUntil } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { named, type TestServer } from "../support/servers.ts";

// What hooks and tasks do to their own session, and what they cannot do to others, whoever carries the bytes.

const config = (peer: string): string => `
import { content, defineGateway, dispatch, otherwise, on, proxy, reject, sleep } from "restyconf";
import { http } from "restyconf/preread";
const server = (phases) => ({ listen: "127.0.0.1:0", routes: [on(http(), proxy("game")), otherwise(proxy("game"))], phases });
const serving = (work) => ({ listen: "127.0.0.1:0", routes: [otherwise(content(work))] });
const wordless = () => { throw Object.create(null); };
const failing = (session) => session.spawn(async () => { await sleep(1); throw new Error("in a task"); });
export default defineGateway({
  phases: {
    access: (session) => session.spawn(() => undefined),
    rewrite: async (session) => {
      if (session.server === "chained") try { await sleep(1); session.exit(403); } catch {}
    },
  },
  upstreams: { game: { peers: ["${peer}"] } },
  servers: {
    relayed: server({ access: (session) => { session.spawn(async () => { await sleep(50); session.exit(403); }); } }),
    early: server({ balancer: (session) => { session.spawn(() => { try { session.exit(503); } catch {} }); } }),
    chained: server({ rewrite: () => console.error(JSON.stringify({ msg: "asked all the same" })) }),
    accessed: server({ access: () => reject("asked, too", { status: 429 }) }),
    full: server({ balancer: () => reject("all seats are taken", { status: 503, retryAfterMs: 4_200 }) }),
    wordlessAccess: server({ access: async () => { await sleep(1); wordless(); } }),
    wordlessFilter: server({ bodyFilter: { client: async () => { await sleep(1); wordless(); } } }),
    wordlessTask: serving((session) => { session.spawn(async () => { await sleep(1); wordless(); }); }),
    wordlessLog: { ...serving(() => {}), phases: { log: async () => wordless() } },
    forgotten: serving(async (session) => {
      session.waitAny([failing(session)]);
      session.waitAll([failing(session)]);
      await sleep(20);
      await session.write("unharmed");
    }),
    killed: serving(async (session) => {
      await session.reader.receive(1);
      await session.write("?");
      const task = session.spawn(({ signal }) => session.reader.receive("*l", { signal }));
      await sleep(1);
      task.kill();
      const { data, err } = await session.reader.receive(2);
      await session.write(String(data ?? err));
    }),
    chatty: serving(async (session) => {
      await session.reader.receive(2);
      session.write("x".repeat(4_000_000));
      return dispatch("secure");
    }),
    secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(content(() => {}))] },
  },
});`;

let gateway: Gateway;
let peer: TestServer;
beforeAll(async () => {
  peer = await named("peer");
  gateway = await Gateway.start(config(peer.address), { ports: 13, files: await certificateFiles() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

const endOf = async (server: string): Promise<unknown> => {
  const { status, end_cause } = await gateway.access((line) => line["server"] === server);
  return [status, end_cause];
};

test("a task's exit ends a session that is relayed already, with its status", async () => {
  const socket = await dialIn(gateway.port("relayed"));
  socket.write("\u0001");
  await readAll(socket); // the gateway's end: ours is still open
  expect(await endOf("relayed")).toEqual([403, "exited"]);
  socket.destroy();
});

test("a task's exit beside the balancer ends the session before or behind the connect", async () => {
  const socket = await dialIn(gateway.port("early"));
  socket.write("\u0001");
  await readAll(socket);
  expect(await endOf("early")).toEqual([503, "exited"]);
  socket.destroy();
});

test("a task that the gateway's hook returns decides nothing: the server's hook is asked", async () => {
  await exchange(gateway.port("accessed"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await endOf("accessed")).toEqual([429, "rejected"]);
});

test("an exit that the gateway's hook catches ends the phase: the server's hook is not asked", async () => {
  await exchange(gateway.port("chained"), "\u0001");
  expect(await endOf("chained")).toEqual([403, "exited"]);
  expect(gateway.log.filter(({ msg }) => msg === "asked all the same")).toEqual([]);
});

test("the balancer hook refuses in the client's own protocol", async () => {
  const answer = await exchange(gateway.port("full"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(answer).toMatch(/^HTTP\/1.1 503 /);
  expect(answer).toContain("Retry-After: 5\r\n");
  expect(answer).toContain("all seats are taken");
  expect(await endOf("full")).toEqual([503, "rejected"]);
});

test.each([
  ["wordlessAccess", [500, "hook_failed"]],
  ["wordlessFilter", [500, "hook_failed"]],
  ["wordlessTask", [200, "content_done"]],
  ["wordlessLog", [200, "content_done"]],
])("what has no text may be thrown, and ends no more than its session: %s", async (server, end) => {
  const socket = await dialIn(gateway.port(server));
  socket.on("error", () => {});
  socket.write("\u0001");
  expect(await endOf(server)).toEqual(end);
  socket.destroy();
  expect(await exchange(gateway.port("forgotten"), "x")).toBe("unharmed");
});

test("a forgotten await of waitAny or waitAll does not end the process", async () => {
  expect(await exchange(gateway.port("forgotten"), "x")).toBe("unharmed");
  expect(await exchange(gateway.port("forgotten"), "x")).toBe("unharmed");
});

test("killing the task that waits for the client's bytes frees the slot, and loses none", async () => {
  const socket = await dialIn(gateway.port("killed"));
  socket.write("a");
  await new Promise((resolve) => socket.once("data", resolve));
  setTimeout(() => socket.write("bc"), 30);
  expect(String(await readAll(socket))).toBe("bc");
  socket.destroy();
});

test("what was written before a dispatch arrives whole before the next server's TLS", async () => {
  const socket = await dialIn(gateway.port("chatty"));
  socket.write(Buffer.concat([Buffer.from("go"), hello("node-24")]));
  const answer = await readUntil(socket, (text) => text.length > 4_000_000);
  expect(answer.search(/[^x]/)).toBe(4_000_000);
  expect(answer[4_000_000]).toBe("\u0016");
  socket.destroy();
});
