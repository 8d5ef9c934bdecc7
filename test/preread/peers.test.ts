import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { http, http2, postgres, redis, type Sniffer, socks, ssh, type Verdict } from "../../src/preread/index.ts";

/**
 * Starts a real program against a port of ours, and asks the sniffer at every chunk until it decides. Each of `answers`
 * is sent after a verdict; what the program says next is judged anew.
 */
async function verdictsOn(program: string, sniffer: Sniffer, answers: readonly string[] = []): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const [command = "", ...args] = program.replaceAll("PORT", String(port)).split(" ");
  const child = spawn(command, args, { stdio: "ignore", env: { ...process.env, PGGSSENCMODE: "disable" } });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => resolve());
      server.once("connection", (socket) => judge(socket, resolve));
    });
  } finally {
    child.kill("SIGKILL");
    server.close();
  }
  return verdicts;

  function judge(socket: Socket, done: () => void): void {
    let head = Buffer.alloc(0);
    socket.on("error", () => {}); // the program may be gone already
    socket.on("data", (chunk) => {
      head = Buffer.concat([head, chunk]);
      const verdict = sniffer.sniff(head);
      if (verdict.kind === "more") return;
      const answer = answers[verdicts.push(verdict) - 1];
      head = Buffer.alloc(0);
      if (answer !== undefined) return socket.write(answer);
      socket.destroy();
      return done();
    });
  }
}

async function expectMatch(program: string, sniffer: Sniffer, info: unknown): Promise<void> {
  expect(await verdictsOn(program, sniffer)).toMatchObject([{ kind: "match", info }]);
}

describe("a real client", () => {
  test("curl speaks HTTP/1.1", () =>
    expectMatch("curl -s http://127.0.0.1:PORT/a?b", http({ path: "/a" }), { version: "1.1", host: "127.0.0.1" }));

  test("curl asking for a websocket tells the upgrade", () =>
    expectMatch("curl -s -H Connection:Upgrade -H Upgrade:websocket http://127.0.0.1:PORT/", http(), {
      upgrade: "websocket",
    }));

  test("curl sends an absolute target to an HTTP proxy", () =>
    expectMatch("curl -s -x http://127.0.0.1:PORT http://a.example/b", http(), { host: "a.example", path: "/b" }));

  test("curl opens a tunnel through a proxy with CONNECT", () =>
    expectMatch("curl -s -p -x http://127.0.0.1:PORT http://a.example/", http(), {
      method: "CONNECT",
      host: "a.example",
    }));

  test("curl with prior knowledge begins with the HTTP/2 preface", () =>
    expectMatch("curl -s --http2-prior-knowledge http://127.0.0.1:PORT/", http2(), {}));

  test("curl speaks SOCKS 4, 4a and 5", async () => {
    const user = { version: 4, command: "connect", port: 80, user: "" };
    await expectMatch("curl -s --socks4 127.0.0.1:PORT http://127.0.0.1/", socks(), { ...user, host: "127.0.0.1" });
    await expectMatch("curl -s --socks4a 127.0.0.1:PORT http://a.example/", socks(), { ...user, host: "a.example" });
    await expectMatch("curl -s --socks5-hostname 127.0.0.1:PORT http://a.example/", socks(), { version: 5 });
  });

  test("redis-cli sends an array", async () => {
    await expectMatch("redis-cli -p PORT ping", redis(), { command: "PING", args: 0, inline: false });
    await expectMatch("redis-cli -3 -p PORT ping", redis(), { command: "HELLO", args: 1 });
    await expectMatch("redis-cli --no-auth-warning -a secret -p PORT ping", redis(), { command: "AUTH", args: 1 });
  });

  test("psql sends SSLRequest, and after a refusal its startup message", async () => {
    const verdicts = await verdictsOn("psql -w -h 127.0.0.1 -p PORT -U bob shop", postgres(), ["N"]);
    expect(verdicts).toMatchObject([
      { kind: "match", info: { kind: "ssl" } },
      { kind: "match", info: { kind: "startup", user: "bob", database: "shop", applicationName: "psql" } },
    ]);
  });

  test("psql without TLS fulfils conditions on user and database", () =>
    expectMatch(
      "psql -w postgresql://bob@127.0.0.1:PORT/shop?sslmode=disable",
      postgres({ user: "bob", database: "shop" }),
      { kind: "startup" },
    ));

  test("ssh sends its banner", () =>
    expectMatch("ssh -F none -o BatchMode=yes -o UserKnownHostsFile=/dev/null -p PORT 127.0.0.1", ssh(), {
      banner: expect.stringMatching(/^SSH-2\.0-/),
    }));
});
