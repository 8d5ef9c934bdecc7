import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { redisClient } from "../../../examples/redis-client.ts";
import { made } from "../../ssl/made-certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { freePorts } from "../../support/service.ts";
import { closeAll, later, said, serving, socketTo } from "./socket-rig.ts";

afterEach(closeAll);

let folder: string;
let address: string;
let server: ReturnType<typeof spawn>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "restyconf-redis-"));
  address = `unix:${join(folder, "redis.sock")}`;
  const path = address.slice("unix:".length);
  server = spawn("redis-server", ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]);
  if (!server.stdout) throw new Error("no output");
  for await (const line of createInterface({ input: server.stdout })) if (/ready to accept/i.test(line)) break;
  server.stdout.resume();
});

afterAll(async () => {
  const exited = once(server, "exit");
  server.kill();
  await exited;
  rmSync(folder, { recursive: true });
});

describe("a real redis-server", () => {
  test("answers commands, inline and framed, over one kept connection", async () => {
    for (let round = 0; round < 3; round++) {
      const socket = await socketTo(address);
      expect(socket.getReusedTimes()).toBe(round);
      expect(await socket.send(["PING\r\n", ["*2\r\n$4\r\nECHO\r\n$", 5, "\r\n", "a\r\nbc", "\r\n"]])).toEqual({
        sent: 31,
      });
      expect([said(await socket.receive()), said(await socket.receive())]).toEqual(["+PONG", "$5"]);
      expect(said(await socket.receive(7))).toBe("a\r\nbc\r\n");
      expect(await socket.setKeepalive()).toEqual({ ok: true });
    }
  });

  test("closes an idle connection: it is dropped from the pool, and the next connect is a new one", async () => {
    const socket = await socketTo(address, { pool: "killed" });
    await socket.send("CLIENT ID\r\n");
    const id = said(await socket.receive()).slice(1);
    await socket.setKeepalive();
    const other = await socketTo(address);
    await other.send(`CLIENT KILL ID ${id}\r\n`);
    expect(said(await other.receive())).toBe(":1");
    await eventually(async () => {
      const next = await socketTo(address, { pool: "killed" });
      expect(next.getReusedTimes()).toBe(0);
    });
  });

  test("examples/redis-client.ts: values of each type, pipelines with errors among them", async () => {
    const redis = redisClient(address);
    expect(await redis.command(["SET", "name", "grün\r\n"])).toBe("OK");
    expect(await redis.command(["GET", "name"])).toBe("grün\r\n");
    expect(await redis.command(["GET", "nothing"])).toBe(null);
    await redis.pipeline([
      ["RPUSH", "list", "a", "", 3],
      ["SET", "text", "x".repeat(100_000)],
    ]);
    const replies = await redis.pipeline([
      ["LRANGE", "list", 0, -1],
      ["INCR", "name"],
      ["STRLEN", "text"],
      ["GET", "text"],
    ]);
    expect(replies).toEqual([
      ["a", "", "3"],
      new Error("ERR value is not an integer or out of range"),
      100_000,
      "x".repeat(100_000),
    ]);
    await expect(redis.command(["NONSENSE"])).rejects.toThrow(/^ERR unknown command/);
  });

  test("examples/redis-client.ts: a thousand commands at a time share twenty connections", async () => {
    const redis = redisClient(address);
    const counts = await Promise.all(Array.from({ length: 1_000 }, () => redis.command(["INCR", "count"])));
    expect(new Set(counts).size).toBe(1_000);
    const clients = String(await redis.command(["CLIENT", "LIST"]));
    expect(clients.trim().split("\n").length).toBeLessThanOrEqual(20 + 2); // and those of the tests above
  });

  test("examples/redis-client.ts: what is no reply, too deep, or half of one closes the connection", async () => {
    for (const [answer, message] of [
      ["HTTP/1.1 400\r\n", "redis: not a reply: HTTP/1.1 400"],
      ["*1\r\n".repeat(20), "redis: arrays too deep"],
      ["$10\r\nhalf", "redis: closed"],
      ["$nonsense\r\n", "bad pattern argument"],
    ] as const) {
      const wrong = await serving((client) => void client.once("data", () => client.end(answer)));
      await expect(redisClient(wrong.address).command(["PING"])).rejects.toThrow(message);
    }
    const [port] = await freePorts(1);
    await expect(redisClient(`127.0.0.1:${port}`).command(["PING"])).rejects.toThrow("redis: connection refused");
  });
});

describe("a real openssl s_server", () => {
  test("shakes hands, is verified by name and authority, and resumes a session", async () => {
    const pem = await made({ names: ["peer.test"] });
    const [crt, key] = [join(folder, "peer.crt"), join(folder, "peer.key")];
    writeFileSync(crt, pem.cert);
    writeFileSync(key, pem.key);
    const [port] = await freePorts(1);
    const openssl = spawn("openssl", [
      "s_server",
      "-accept",
      `127.0.0.1:${port}`,
      "-cert",
      crt,
      "-key",
      key,
      "-rev",
      "-naccept",
      "4",
    ]);
    later(() => openssl.kill("SIGKILL"));
    const first = await eventually(() => socketTo(`127.0.0.1:${port}`));
    const how = { serverName: "peer.test", verify: true, ca: pem.cert };
    const { session, err } = await first.sslHandshake(how);
    expect(err).toBe(undefined);
    await first.send("hello\n");
    expect(said(await first.receive())).toBe("olleh"); // s_server -rev turns lines around
    expect(first.close()).toEqual({ ok: true }); // it serves one after the other
    const second = await socketTo(`127.0.0.1:${port}`);
    expect((await second.sslHandshake({ ...how, session })).err).toBe(undefined);
    await second.send("again\n");
    expect(said(await second.receive())).toBe("niaga");
    expect(second.close()).toEqual({ ok: true });
    const stranger = await socketTo(`127.0.0.1:${port}`);
    expect(await stranger.sslHandshake({ ...how, serverName: "other.test" })).toEqual({
      err: "certificate host mismatch",
    });
  });
});
