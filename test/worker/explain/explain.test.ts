import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { content, defineGateway, on, otherwise, proxy, reject, silent } from "../../../src/index.ts";
import { bytes, http, mqtt, ssh, tls } from "../../../src/preread/index.ts";
import { UsageError } from "../../../src/worker/config/config-error.ts";
import { explain } from "../../../src/worker/explain/explain.ts";
import { bytesOfHex, bytesOfText } from "../../../src/worker/explain/explain-input.ts";

const upstreams = { api: { peers: ["h:80"] }, game: { peers: ["h:81"] } };
const plain = defineGateway({
  upstreams,
  servers: {
    edge: {
      listen: "127.0.0.1:0",
      preread: { maxBytes: 64 },
      routes: [
        on(mqtt({ clientId: "bot-*" }), proxy("game")),
        on(http(), proxy("api")),
        on(
          ssh(),
          content(() => {}),
        ),
        on(bytes("GE"), reject("no GE")),
        otherwise(reject("unknown", { status: 400 })),
      ],
    },
  },
});
const secure = (mode: "auto" | "always") =>
  defineGateway({
    upstreams,
    servers: {
      edge: {
        listen: "127.0.0.1:0",
        ssl: { mode, certs: "certs" },
        routes: [
          on(tls({ serverName: "*.raw.test" }), proxy("game")),
          on(ssh(), proxy("api")),
          silent(300, proxy("game")),
        ],
      },
    },
  });

const hello = (name: string): Buffer =>
  Buffer.from(
    readFileSync(new URL(`../../fixtures/client-hello/${name}.hex`, import.meta.url), "utf8").replace(/\s/g, ""),
    "hex",
  );
const last = (lines: readonly string[]): string => lines.at(-1)?.trim() ?? "";

describe("explain", () => {
  test("shows each sniffer's verdict at each length where it changed, and the route taken", () => {
    expect(explain(plain, bytesOfText("SSH-2.0-x\\r\\n"))).toEqual([
      String.raw`server edge: 11 bytes 53 53 48 2d 32 2e 30 2d 78 0d 0a "SSH-2.0-x\r\n"`,
      expect.stringMatching(/^ {2}routes\[0\] mqtt {3}more\(\S+\) (at|from) 0 · mismatch at 1$/),
      expect.stringMatching(/^ {2}routes\[1\] http {3}more\(\S+\) (at|from) 0 · mismatch at \d+$/),
      expect.stringMatching(/^ {2}routes\[2\] ssh {4}.* · match at 11$/),
      expect.stringMatching(/^ {2}routes\[3\] bytes {2}.* · mismatch at 1$/),
      `  → routes[2]: content, because it is ssh {"banner":"SSH-2.0-x"}`,
    ]);
  });

  test.each([
    ["no route matches", "\\x00\\x00", `→ otherwise: reject "unknown" (400)`],
    [
      "a match waits for a hungrier route before it",
      "GET / HTTP/1.1\\r\\n",
      "→ waits: routes[1] wants 17 bytes; when the client ends or preread.timeoutMs (5000) is over, routes[3]: reject",
    ],
    ["nothing matches yet", "SSH-", "→ waits: routes[1] wants 5 bytes, routes[2] wants 5 bytes"],
    [
      "the buffer is full while a match waits",
      `GET / HTTP/1.1\\r\\nA: ${"x".repeat(80)}`,
      `→ routes[3]: reject "no GE" (403), because it is bytes {}`,
    ],
    [
      "the buffer is full and nothing matches",
      `SSH-${"x".repeat(80)}`,
      "→ RC_PREREAD_FULL: preread.maxBytes is 64, and routes[2] wants 65 bytes",
    ],
    ["no byte has come", "", "→ waits for a first byte; after 5000 ms RC_PREREAD_TIMEOUT"],
  ])("says what happens when %s", (_, text, line) => {
    expect(last(explain(plain, bytesOfText(text)))).toContain(line);
  });

  test.each([
    [
      "openssl-3.0-servername",
      "server name",
      "→ TLS ends here; after the handshake all routes are asked about the clear text",
    ],
    ["openssl-3.0-noservername", "server name none", "→ TLS ends here"],
  ])("of the hello %s names what it says, and that TLS ends here", (name, said, line) => {
    const lines = explain(secure("auto"), hello(name));
    expect(lines[1]).toContain(said);
    expect(last(lines)).toContain(line);
  });

  test("of a hello that a tls() route wants says that it passes through", () => {
    const all = defineGateway({
      upstreams,
      servers: {
        edge: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "c" }, routes: [on(tls(), proxy("game"))] },
      },
    });
    expect(last(explain(all, hello("curl-7.88")))).toBe(
      `→ routes[0]: proxy "game", because it is tls; TLS passes through as it is`,
    );
  });

  test.each([
    ["auto", "\\x16", "TLS or plain? → waits: 3 bytes will tell"],
    ["auto", "\\x16\\x03\\x01\\x00\\x50", "TLS → waits: the ClientHello wants"],
    ["auto", "\\x16\\x03\\x01\\x00\\x04\\x02\\x00\\x00\\x00", "TLS → RC_TLS_HELLO: "],
    ["auto", "SSH-2.0-x\\n", `→ routes[1]: proxy "api", because it is ssh`],
    ["auto", "", `→ waits for a first byte; after 300 ms routes[2] silent: proxy "game"`],
    ["always", "SSH-2.0-x\\n", `→ routes[1]: proxy "api", because it is ssh`],
    ["auto", "?", "→ RC_NO_ROUTE: no route matches"],
  ] as const)("with ssl.mode %s says of %j: %s", (mode, text, line) => {
    expect(last(explain(secure(mode), bytesOfText(text)))).toContain(line);
  });

  test("with ssl.mode always says first that plain bytes are refused", () => {
    expect(explain(secure("always"), bytesOfText("SSH-2.0-x\\n"))[1]).toContain("RC_TLS_PLAIN");
  });

  test("of a server that always speaks first says so, whatever the bytes are", () => {
    const routes = [on(ssh(), proxy("api")), silent(0, proxy("game"))];
    const first = defineGateway({
      upstreams,
      servers: { edge: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: "c" }, routes } },
    });
    for (const head of [Buffer.alloc(0), hello("curl-7.88")]) {
      expect(last(explain(first, head))).toBe(`→ routes[1] silent: proxy "game", at once`);
    }
  });

  test("of a server without sniffers needs no byte", () => {
    const only = defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [otherwise(proxy("api"))] } } });
    expect(last(explain(only, Buffer.alloc(0)))).toBe(`→ otherwise: proxy "api"`);
  });

  test("speaks of all servers, or of the one that is named", () => {
    const server = { listen: "127.0.0.1:0", routes: [otherwise(proxy("api"))], phases: { preread: () => {} } };
    const two = defineGateway({ upstreams, servers: { one: server, two: server } });
    expect(explain(two, Buffer.from("x")).filter((line) => line.startsWith("server"))).toHaveLength(2);
    expect(explain(two, Buffer.from("x"), "two")).toEqual([
      `server two: 1 byte 78 "x"`,
      `  → otherwise: proxy "api"`,
      "  phases.preread may decide otherwise",
    ]);
    expect(() => explain(two, Buffer.from("x"), "tow")).toThrow(UsageError);
  });

  test("shows no more than a line of what a sniffer learned", () => {
    const chatty = {
      name: "chatty",
      examples: [],
      sniff: () => ({ kind: "match", info: { n: 1n, t: "x".repeat(9_999) } }) as const,
    };
    const config = defineGateway({
      upstreams,
      servers: { edge: { listen: "h:1", routes: [on(chatty, proxy("api"))] } },
    });
    const line = last(explain(config, Buffer.from("x")));
    expect(line).toContain(`{"n":"1","t":"xxx`);
    expect(line.length).toBeLessThan(400);
  });
});

describe("hex", () => {
  test.each([
    ["", ""],
    ["1603", "1603"],
    ["0x16 03", "1603"],
    ["16:03\n01", "160301"],
    ["aBCd", "abcd"],
  ])("%j is read", (text, hex) => expect(Buffer.from(bytesOfHex(text)).toString("hex")).toBe(hex));

  test.each([["1"], ["160"], ["xy"], ["16 0g"], ["16,03"]])("%j is wrong usage", (text) =>
    expect(() => bytesOfHex(text)).toThrow(UsageError),
  );
});

describe("text", () => {
  test.each([
    ["a", "61"],
    [String.raw`\r\n\t\0\\\"`, "0d0a09005c22"],
    [String.raw`\x00\xff\xFe`, "00fffe"],
    ["ü", "c3bc"],
    [String.raw`\x41\x42c`, "414263"],
    ["a\nb", "610a62"],
  ])("%j is read", (text, hex) => expect(Buffer.from(bytesOfText(text)).toString("hex")).toBe(hex));

  test.each([[String.raw`\q`], [String.raw`\x1`], [String.raw`\xg0`], ["\\"]])("%j is wrong usage", (text) =>
    expect(() => bytesOfText(text)).toThrow(UsageError),
  );
});
