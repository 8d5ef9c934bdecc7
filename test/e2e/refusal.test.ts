import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/programs.ts";
import { freePorts } from "../support/service.ts";

// What people see whose client is turned away: by the programs that they use, and in every phase.

let gateway: Gateway;

beforeAll(async () => {
  const [closed = 0, other = 0] = await freePorts(2);
  gateway = await Gateway.start(
    `
import { content, defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { amqp, bytes, dns, http, http2, mqtt, msgpack, postgres, redis, socks, ssh, tls, xmpp } from "restyconf/preread";
const no = reject("closed for the night", { retryAfterMs: 4_200 });
const moved = reject("moved", { redirect: "127.0.0.1:${other}" });
const known = [amqp(), http(), http2(), mqtt(), postgres(), redis(), socks(), dns(), ssh(), tls(), xmpp(), msgpack()];
const own = (refuse) => ({ name: "own", examples: [], sniff: (head) => bytes("OWN").sniff(head), refuse });
const secret = () => { throw new Error("the password of db-7 is hunter2"); };
const at = (path, session) => session.info?.path === path;
export default defineGateway({
  upstreams: { none: { peers: ["127.0.0.1:${closed}"], maxFails: 0 } },
  servers: {
    night: { listen: "127.0.0.1:0", routes: [
      on(mqtt({ clientId: "moved" }), moved), on(http({ path: "/moved" }), moved),
      ...known.map((sniffer) => on(sniffer, no)), otherwise(reject("unknown protocol")),
    ] },
    noPeer: { listen: "127.0.0.1:0", routes: known.map((sniffer) => on(sniffer, proxy("none"))) },
    elsewhere: { listen: "127.0.0.1:${other}", routes: [otherwise(content(async (session) => {
      await session.write("HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\nhello\\n");
    }))] },
    secure: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: "." }, routes: [
      on(tls({ serverName: "raw.test" }), no), on(http(), no), otherwise(reject("unknown protocol")),
    ] },
    always: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [on(http(), no)] },
    hooks: { listen: "127.0.0.1:0",
      routes: [
        on(http({ path: "/content" }), content(secret)),
        on(http({ path: "/begun" }), content(async (session) => { await session.write("begun;"); secret(); })),
        on(http({ path: "/later" }), content(async (session) => {
          await session.reader.receive();
          return reject("after all", { status: 429 });
        })),
        on(http({ path: "/exit" }), content((session) => session.exit(403))),
        on(own((refusal) => Buffer.from("no room: " + refusal.reason + "\\n")), reject("full")), on(http(), proxy("none")),
      ],
      phases: {
        preread: (session) => at("/preread", session) ? reject("by preread", { status: 401 }) : undefined,
        rewrite: (session) => at("/rewrite", session) ? reject("by rewrite") : undefined,
        access: (session) => at("/access", session) ? reject("by access", { status: 429, retryAfterMs: 1 }) : undefined,
        balancer: (session) => at("/balancer", session) ? secret() : undefined,
      },
    },
    broken: { listen: "127.0.0.1:0", routes: [on(own(secret), reject("full"))] },
  },
});`,
    { ports: 7, files: await certificateFiles() },
  );
});
afterAll(() => gateway[Symbol.asyncDispose]());

describe("real clients of a server that is closed", () => {
  const night = () => String(gateway.port("night"));
  const url = (path = "/") => `http://127.0.0.1:${night()}${path}`;

  test("curl shows 403, when to come again, and why", async () => {
    const { stdout } = await run("curl", ["-s", "-i", url()]);
    expect(stdout).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(stdout).toContain("\r\nRetry-After: 5\r\n");
    expect(stdout.endsWith("\r\n\r\nclosed for the night\n")).toBe(true);
  });
  test("curl follows to another server", async () => {
    expect((await run("curl", ["-s", "-L", url("/moved")])).stdout).toBe("hello\n");
  });
  test("curl sees the answer although it still has a megabyte to send", async () => {
    const { stdout } = await run("curl", ["-s", "--data-binary", "@-", url()], { input: "x".repeat(1_000_000) });
    expect(stdout).toBe("closed for the night\n");
  });
  test("curl with prior knowledge of HTTP/2 gets GOAWAY", async () => {
    const { stderr } = await run("curl", ["-sv", "--http2-prior-knowledge", url()]);
    expect(stderr).toMatch(/GOAWAY, error=7, last_stream=0/);
  });
  test("curl is refused as a SOCKS client", async () => {
    const through = (kind: string) => run("curl", ["-sS", `--${kind}`, `127.0.0.1:${night()}`, "http://127.0.0.1/"]);
    expect((await through("socks4")).stderr).toContain("request rejected or failed");
    expect((await through("socks5")).stderr).toContain("(2)");
  });
  test("curl and openssl show the alert", async () => {
    expect((await run("curl", ["-sSk", `https://127.0.0.1:${night()}`])).stderr).toContain("alert access denied");
    const { stderr } = await run("openssl", ["s_client", "-connect", `127.0.0.1:${night()}`]);
    expect(stderr).toContain("SSL alert number 49");
  });
  test.each([
    ["mqttv31", "any", "not authorised"],
    ["mqttv311", "any", "not authorised"],
    ["mqttv311", "moved", "broker unavailable"],
    ["mqttv5", "any", "Not authorized"],
    ["mqttv5", "moved", "Use another server"],
  ])("mosquitto_sub speaking %s as %s says: %s", async (version, clientId, words) => {
    const { stderr } = await run("mosquitto_sub", ["-p", night(), "-V", version, "-i", clientId, "-t", "a"]);
    expect(stderr).toContain(words);
  });
  test("redis-cli shows the error", async () => {
    expect((await run("redis-cli", ["-p", night(), "PING"])).stdout).toContain(
      "ERR closed for the night; try again in 5 s",
    );
  });
  test.each(["disable", "prefer"])("psql with sslmode %s shows FATAL and a hint", async (mode) => {
    const { stderr } = await run("psql", [
      `host=127.0.0.1 port=${night()} user=ann dbname=g gssencmode=disable sslmode=${mode}`,
    ]);
    expect(stderr).toContain("FATAL:  closed for the night\nHINT:  Try again in 5 s.");
  });
  test("ssh shows why it is disconnected", async () => {
    const { stderr } = await run("ssh", [
      "-o",
      "BatchMode=yes",
      "-o",
      "StrictHostKeyChecking=no",
      "-p",
      night(),
      "127.0.0.1",
      "true",
    ]);
    expect(stderr).toMatch(
      /^Received disconnect from 127\.0\.0\.1 port \d+:1: closed for the night; try again in 5 s/m,
    );
  });
  test("dig shows REFUSED", async () => {
    const { stdout } = await run("dig", ["+tcp", "+tries=1", "-p", night(), "@127.0.0.1", "example.com"]);
    expect(stdout).toContain("status: REFUSED");
  });
  test("amqp-publish shows the reason", async () => {
    const { stderr } = await run("amqp-publish", ["--server=127.0.0.1", `--port=${night()}`, "-r", "a", "-b", "x"]);
    expect(stderr).toContain("server connection error 403, message: closed for the night; try again in 5 s");
  });
  test("a person with nc reads a line, a binary client gets nothing, each its own line of the log", async () => {
    expect(await exchange(gateway.port("night"), "hello\n")).toBe("unknown protocol\r\n");
    expect(await exchange(gateway.port("night"), "\0\0\0\x05hello")).toBe("");
    const lines = await gateway.access((line) => line["bytes_received"] === 9 && line["protocol"] === undefined);
    expect(lines).toMatchObject({ status: 403, end_cause: "rejected", bytes_sent: 0 });
    expect(await gateway.access((line) => line["bytes_received"] === 6)).toMatchObject({ status: 403, bytes_sent: 18 });
  });
});

test.each<readonly [string, readonly string[], string]>([
  ["curl", ["-si", "http://127.0.0.1:PORT/"], "HTTP/1.1 502 Bad Gateway"],
  ["curl", ["-sSk", "https://127.0.0.1:PORT/"], "alert internal error"],
  ["mosquitto_sub", ["-p", "PORT", "-t", "a"], "broker unavailable"],
  ["mosquitto_sub", ["-p", "PORT", "-V", "mqttv5", "-t", "a"], "Server unavailable"],
  ["redis-cli", ["-p", "PORT", "PING"], "ERR Bad Gateway"],
  ["psql", ["host=127.0.0.1 port=PORT user=ann dbname=g"], "FATAL:  Bad Gateway"],
  [
    "ssh",
    ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-p", "PORT", "127.0.0.1", "true"],
    ":7: Bad Gateway",
  ],
])("where no peer accepts, %s %j shows: %s", async (program, args, words) => {
  const { stdout, stderr } = await run(
    program,
    args.map((arg) => arg.replace("PORT", String(gateway.port("noPeer")))),
  );
  expect(stdout + stderr).toContain(words);
});

describe("TLS that ends here", () => {
  const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  test("carries the answer", async () => {
    const socket = await dialTls(gateway.port("secure"));
    socket.end(request);
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 403 /);
  });
  test("carries a line of text, too, and the plain half of the port as well", async () => {
    const socket = await dialTls(gateway.port("secure"));
    socket.end("hello\n");
    expect((await readAll(socket)).toString()).toBe("unknown protocol\r\n");
    expect(await exchange(gateway.port("secure"), "hello\n")).toBe("unknown protocol\r\n");
  });
  test("is not begun for a name that is passed through and refused", async () => {
    await expect(dialTls(gateway.port("secure"), { servername: "raw.test" })).rejects.toThrow("access denied");
  });
  test("is asked for in words of the plain client that came without", async () => {
    expect(await exchange(gateway.port("always"), request)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});

describe("in every phase", () => {
  const get = (path: string) => exchange(gateway.port("hooks"), `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);

  test.each([
    ["/preread", 401, "by preread"],
    ["/rewrite", 403, "by rewrite"],
    ["/access", 429, "by access"],
  ])("reject() at %s is told with status %i and its reason", async (path, status, reason) => {
    const answer = await get(path);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain(`\r\n\r\n${reason}\n`);
  });
  test.each([
    ["/balancer", 500],
    ["/content", 500],
    ["/none", 502],
  ])("a failure at %s is told with status %i and nothing of what happened", async (path, status) => {
    const answer = await get(path);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).not.toMatch(/hunter2|hook|127\.0\.0\.1|ECONN/);
  });
  test("a content handler that has read only may still refuse", async () => {
    expect(await get("/later")).toMatch(/^HTTP\/1\.1 429 Too Many Requests\r\n[\s\S]*\r\n\r\nafter all\n$/);
  });
  test("nothing is said behind what a handler wrote, nor for one that ends the session itself", async () => {
    expect(await get("/begun")).toBe("begun;");
    expect(await get("/exit")).toBe("");
  });
  test("a sniffer of one's own has its own words", async () => {
    expect(await exchange(gateway.port("hooks"), "OWN")).toBe("no room: full\n");
  });
  test("one whose refuse() throws says nothing, and it is logged", async () => {
    expect(await exchange(gateway.port("broken"), "OWN")).toBe("");
    expect(await gateway.line((line) => line["msg"] === "refuse failed")).toMatchObject({ protocol: "own" });
    expect(await gateway.access((line) => line["server"] === "broken")).toMatchObject({ end_cause: "rejected" });
  });
});

test("a client that pipelines commands without end reads the answer, and is let go", async () => {
  const socket = await dialIn(gateway.port("night"));
  socket.write("*1\r\n$4\r\nPING\r\n".repeat(2_000));
  const more = setInterval(() => socket.write("*1\r\n$4\r\nPING\r\n".repeat(2_000)), 5);
  try {
    expect((await readAll(socket)).toString()).toBe("-ERR closed for the night; try again in 5 s\r\n");
  } finally {
    clearInterval(more);
    socket.destroy();
  }
});
