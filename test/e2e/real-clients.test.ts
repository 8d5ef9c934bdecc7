import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hello } from "../fixtures/client-hello/recorded.ts";
import { dialIn } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { run, shell } from "../support/programs.ts";
import { TestServer } from "../support/servers.ts";

// Programs that people use, each through its own route of one port.

let gateway: Gateway;
let hellos: TestServer;
let folder: string;
let redis: ReturnType<typeof spawn>;
const passed: Buffer[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "restyconf-redis-"));
  const socket = join(folder, "redis.sock");
  redis = spawn("redis-server", ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]);
  if (redis.stdout) {
    for await (const line of createInterface({ input: redis.stdout }))
      if (/ready to accept connections/i.test(line)) break;
    redis.stdout.resume();
  }
  hellos = await TestServer.open((client) => void client.on("data", (chunk: Buffer) => passed.push(chunk)));
  gateway = await Gateway.start(
    `
import { content, defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { http, postgres, redis, ssh, tls } from "restyconf/preread";
/** PostgreSQL's ErrorResponse: what psql shows as FATAL. */
const fatal = (text) => {
  const body = Buffer.from("SFATAL\\0C28000\\0M" + text + "\\0\\0");
  const head = Buffer.alloc(5, "E");
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
export default defineGateway({
  upstreams: { redis: { peers: ["unix:${socket}"] }, hellos: { peers: ["${hellos.address}"] } },
  servers: { edge: { listen: "127.0.0.1:0", routes: [
    on(tls(), proxy("hellos")),
    on(redis(), proxy("redis")),
    on(postgres({ user: "ann" }), content(async (session) => { await session.write(fatal("no seat for " + session.info.user)); })),
    on(postgres(), content(async (session) => {
      await session.reader.receive(8); // the request for TLS
      await session.write("N");
      const { data } = await session.reader.receive(4);
      await session.reader.receive(data.readUInt32BE() - 4);
      await session.write(fatal("ask somebody else"));
    })),
    on(ssh(), content(async (session) => { await session.write("no ssh here\\r\\n"); })),
    on(http({ path: "/hello" }), content(async (session) => {
      await session.write("HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\nhello\\n");
    })),
    otherwise(reject("unknown")),
  ] } },
});`,
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await hellos[Symbol.asyncDispose]();
  const exited = once(redis, "exit");
  redis.kill();
  await exited;
  rmSync(folder, { recursive: true });
});

test("redis-cli reaches a real Redis, by its protocol and by inline commands", async () => {
  const port = String(gateway.port());
  expect((await run("redis-cli", ["-p", port, "SET", "seat", "7"])).stdout).toBe("OK\n");
  expect((await run("redis-cli", ["-p", port, "GET", "seat"])).stdout).toBe("7\n");
  expect((await shell(`printf 'PING\\r\\n' | nc -N 127.0.0.1 ${port}`)).stdout).toBe("+PONG\r\n");
});

test("psql is answered in its own words, with and without a request for TLS first", async () => {
  const ask = (mode: string) =>
    run("psql", [`host=127.0.0.1 port=${gateway.port()} user=ann dbname=game sslmode=${mode} gssencmode=disable`]);
  expect((await ask("disable")).stderr).toContain("FATAL:  no seat for ann");
  expect((await ask("prefer")).stderr).toContain("FATAL:  ask somebody else");
});

test("ssh is told that there is none", async () => {
  const options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-p", String(gateway.port())];
  const { stderr, code } = await run("ssh", ["-v", ...options, "127.0.0.1", "true"]);
  expect(code).not.toBe(0);
  expect(stderr).toContain("no ssh here");
  expect(await gateway.access((line) => line["protocol"] === "ssh")).toMatchObject({
    status: 200,
    end_cause: "content_done",
  });
});

test("curl gets its page", async () => {
  expect((await run("curl", ["-s", `http://127.0.0.1:${gateway.port()}/hello`])).stdout).toBe("hello\n");
  expect((await run("curl", ["-s", `http://127.0.0.1:${gateway.port()}/other`])).stdout).toBe("unknown\n");
});

test("a browser's hello is passed through whole", async () => {
  const bytes = hello("chromium-156");
  passed.length = 0;
  const socket = await dialIn(gateway.port());
  socket.write(bytes);
  await eventually(() => expect(Buffer.concat(passed).length).toBe(bytes.length));
  expect(Buffer.concat(passed).equals(bytes)).toBe(true);
  socket.destroy();
});
