import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeConnect } from "../../src/codecs/mqtt/connect.ts";
import { mqtt as mqttCodec } from "../../src/codecs/mqtt/mqtt.ts";
import { msgpackCodec } from "../../src/codecs/msgpack/msgpack.ts";
import { refuseUnknown } from "../../src/codecs/refusal/text.ts";
import { secondsOf } from "../../src/codecs/refusal/words.ts";
import { decodeClientHello } from "../../src/codecs/tls/client-hello.ts";
import type { Refusal } from "../../src/errors.ts";
import {
  amqp,
  bytes,
  dns,
  http,
  http2,
  lengthPrefixed,
  mqtt,
  msgpack,
  postgres,
  rdp,
  redis,
  type Sniffer,
  socks,
  ssh,
  tls,
  xmpp,
} from "../../src/preread/index.ts";
import { importFresh } from "../../src/worker/config/bundle.ts";
import { refusalLaws } from "../laws/refusal-laws.ts";
import { TempFolder } from "../worker/temp-folder.ts";

const sniffers: readonly Sniffer[] = [
  amqp(),
  dns(),
  http(),
  http2(),
  lengthPrefixed({ size: 2, inner: msgpack() }),
  mqtt(),
  msgpack(),
  postgres(),
  rdp(),
  redis(),
  socks(),
  ssh(),
  tls(),
  xmpp(),
];
for (const sniffer of sniffers) refusalLaws(sniffer);

const closed: Refusal = { status: 403, reason: "closed for\r\nthe night" };
const busy: Refusal = { status: 503, reason: "full", retryAfterMs: 1_500 };
const moved: Refusal = { status: 403, reason: "moved", redirect: "other:1883" };

/** What a client that says `head` is told, as Latin-1; `…` stands for what it says in between. */
function told(sniffer: Sniffer, head: string | Uint8Array, refusal: Refusal): string | undefined {
  const verdict = sniffer.sniff(typeof head === "string" ? Buffer.from(head, "latin1") : head);
  if (verdict.kind !== "match") throw new Error(verdict.kind);
  const words = sniffer.refuse?.(refusal, verdict.info);
  const pieces = words instanceof Uint8Array ? [words] : words;
  return pieces?.map((piece) => Buffer.from(piece).toString("latin1")).join("…");
}

describe("HTTP", () => {
  const get = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n";
  test("a status, a length, an end, and the reason on one line", () => {
    expect(told(http(), get, closed)).toBe(
      "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n" +
        "Cache-Control: no-store\r\nConnection: close\r\n\r\nclosed for  the night\n",
    );
  });
  test("when to come again, in whole seconds", () => {
    expect(told(http(), get, busy)).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n[\s\S]*\r\nRetry-After: 2\r\n/);
    expect([0, 1, 999, 1_000, 1_001].map((retryAfterMs) => secondsOf({ ...busy, retryAfterMs }))).toEqual([
      1, 1, 1, 1, 2,
    ]);
  });
  test.each([
    [get, moved, "HTTP/1.1 307 ", "//other:1883/a?b"],
    ["GET /a HTTP/1.0\r\n\r\n", moved, "HTTP/1.1 302 ", "//other:1883/a"],
    [get, { ...moved, status: 301 }, "HTTP/1.1 308 ", "//other:1883/a?b"],
    [get, { ...moved, redirect: "https://o.example/x" }, "HTTP/1.1 307 ", "https://o.example/x"],
    ["OPTIONS * HTTP/1.1\r\n\r\n", moved, "HTTP/1.1 307 ", "//other:1883/"],
    ["GET /\xc3\xa9 HTTP/1.1\r\n\r\n", moved, "HTTP/1.1 307 ", "//other:1883/%C3%A9"],
    [get, { ...moved, redirect: "a\r\nX: y" }, "HTTP/1.1 307 ", "//a%0D%0AX:%20y/a?b"],
  ])("another place to go: %j", (request, refusal, start, location) => {
    const answer = told(http(), request, refusal) ?? "";
    expect(answer.startsWith(start)).toBe(true);
    expect(answer).toContain(`\r\nLocation: ${location}\r\n`);
  });
  test("no body for HEAD, nothing but the text for HTTP/0.9", () => {
    expect(told(http(), "HEAD / HTTP/1.1\r\n\r\n", closed)).toMatch(/Content-Length: 22\r\n[\s\S]*\r\n\r\n$/);
    expect(told(http(), "GET /\r\n", closed)).toBe("closed for  the night\n");
  });
  test("never a success", () => {
    for (const status of [100, 200, 204, 304, 399])
      expect(told(http(), get, { ...closed, status })).toMatch(/^HTTP\/1\.1 403 /);
  });
});

describe("MQTT", () => {
  const connect = (version: 3 | 4 | 5, maximumPacketSize?: number) =>
    encodeConnect({ version, clientId: "a", ...(maximumPacketSize && { properties: { maximumPacketSize } }) });
  const connack = (version: 3 | 4 | 5, refusal: Refusal, limit?: number) => {
    const words = Buffer.from(told(mqtt(), connect(version, limit), refusal) ?? "", "latin1");
    const decoded = mqttCodec({ version }).decode(words);
    expect(decoded).toMatchObject({ kind: "frame", size: words.length });
    return decoded.kind === "frame" ? decoded.value : undefined;
  };

  test.each([
    [401, 4, 0x86],
    [403, 5, 0x87],
    [404, 5, 0x87],
    [413, 5, 0x95],
    [429, 3, 0x9f],
    [500, 3, 0x80],
    [502, 3, 0x88],
    [503, 3, 0x89],
    [504, 3, 0x88],
    [505, 1, 0x84],
  ])("status %i is return code %i, and in MQTT 5 reason code %i", (status, returnCode, reasonCode) => {
    const refusal = { ...closed, status };
    for (const version of [3, 4] as const)
      expect(connack(version, refusal)).toEqual({ cmd: "connack", sessionPresent: false, returnCode });
    const properties = { reasonString: "closed for  the night" };
    expect(connack(5, refusal)).toEqual({ cmd: "connack", sessionPresent: false, reasonCode, properties });
  });
  test("another server, in MQTT 5 by name", () => {
    const properties = { reasonString: "moved", serverReference: "other:1883" };
    expect(connack(5, moved)).toMatchObject({ reasonCode: 0x9c, properties });
    expect(connack(5, { ...moved, status: 308 })).toMatchObject({ reasonCode: 0x9d, properties });
    expect(connack(4, moved)).toMatchObject({ returnCode: 3 });
  });
  test("[MQTT-3.2.2-19] no more than the client takes in one packet", () => {
    expect(connack(5, moved, 30)).toMatchObject({
      properties: { reasonString: "moved", serverReference: "other:1883" },
    });
    expect(connack(5, moved, 20)).toEqual({
      cmd: "connack",
      sessionPresent: false,
      reasonCode: 0x9c,
      properties: { serverReference: "other:1883" },
    });
    expect(connack(5, moved, 5)).toEqual({ cmd: "connack", sessionPresent: false, reasonCode: 0x9c });
  });
});

describe("other protocols", () => {
  const tcp = (
    name: string,
    sniffer: Sniffer,
    head: string | Uint8Array,
    refusal: Refusal,
    words: string | undefined,
  ) => [name, sniffer, head, refusal, words] as const;
  const goaway = (code: string, debug: string) =>
    `\0\0\0\x04\0\0\0\0\0\0\0${String.fromCharCode(8 + debug.length)}\x07\0\0\0\0\0\0\0\0\0\0\0\0${code}${debug}`;
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const startup = "\0\0\0\x12\0\x03\0\0user\0ann\0\0";
  const fatal = (length: string, text: string) => `E\0\0\0${length}${text}\0\0`;
  test.each([
    tcp("HTTP/2", http2(), preface, closed, goaway("\x07", "closed for  the night")),
    tcp("HTTP/2, too many", http2(), preface, { ...busy, status: 429 }, goaway("\x0b", "full; try again in 2 s")),
    tcp("TLS", tls(), hello(), closed, "\x15\x03\x03\0\x02\x02\x31"),
    tcp("TLS, no peer", tls(), hello(), { ...busy, status: 502 }, "\x15\x03\x03\0\x02\x02\x50"),
    tcp(
      "SSH",
      ssh(),
      "SSH-2.0-x\r\n",
      busy,
      `SSH-2.0-RestyConf\r\n\0\0\0\x2c\x08\x01\0\0\0\x07\0\0\0\x16full; try again in 2 s${"\0".repeat(4 + 8)}`,
    ),
    tcp("SSH 1", ssh(), "SSH-1.5-x\r\n", busy, "full; try again in 2 s\r\n"),
    tcp("Redis", redis(), "PING\r\n", closed, "-ERR closed for  the night\r\n"),
    tcp("Redis, elsewhere", redis(), "*1\r\n$4\r\nPING\r\n", moved, "-ERR moved; use other:1883\r\n"),
    tcp("PostgreSQL", postgres(), startup, closed, fatal("\x31", "SFATAL\0VFATAL\0C28000\0Mclosed for  the night")),
    tcp(
      "PostgreSQL behind a request for TLS",
      postgres(),
      "\0\0\0\x08\x04\xd2\x16\x2f",
      { status: 502, reason: "no" },
      `N…${fatal("\x1e", "SFATAL\0VFATAL\0C57P03\0Mno")}`,
    ),
    tcp(
      "PostgreSQL behind a request for GSSAPI",
      postgres(),
      "\0\0\0\x08\x04\xd2\x16\x30",
      { status: 502, reason: "no" },
      `N…N…${fatal("\x1e", "SFATAL\0VFATAL\0C57P03\0Mno")}`,
    ),
    tcp("PostgreSQL's cancel", postgres(), `\0\0\0\x10\x04\xd2\x16\x2e${"\0".repeat(8)}`, closed, undefined),
    tcp("SOCKS 5", socks(), "\x05\x02\0\x02", closed, "\x05\0…\x05\x02\0\x01\0\0\0\0\0\0"),
    tcp("SOCKS 5 with a login", socks(), "\x05\x01\x02", closed, "\x05\xff"),
    tcp("SOCKS 4", socks(), "\x04\x01\0\x50\x7f\0\0\x01\0", closed, "\0\x5b\0\0\0\0\0\0"),
    tcp(
      "DNS",
      dns(),
      "\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01",
      closed,
      `\0\x0c\x12\x34\x80\x05${"\0".repeat(8)}`,
    ),
    tcp(
      "RDP",
      rdp(),
      "\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
      closed,
      "\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x03\0\0\0",
    ),
    tcp("RDP without negotiation", rdp(), "\x03\0\0\x0b\x06\xe0\0\0\0\0\0", closed, "\x03\0\0\x0b\x06\x80\0\0\0\0\0"),
    tcp(
      "AMQP 0-9-1",
      amqp(),
      "AMQP\0\0\x09\x01",
      busy,
      `\x01\0\0\0\0\0\x1c\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US\xce…\x01\0\0\0\0\0\x21\0\x0a\0\x32\x01\x40\x16full; try again in 2 s\0\0\0\0\xce`,
    ),
    tcp("AMQP 1.0 behind SASL", amqp(), "AMQP\x03\x01\0\0", busy, undefined),
    tcp("bytes of one's own", bytes("GAME"), "GAME", busy, undefined),
  ])("%s", (_name, sniffer, head, refusal, words) => {
    expect(told(sniffer, head, refusal)).toBe(words);
  });

  test("msgpack: a map, framed as the client frames", () => {
    const value = { error: "full", status: 503, retryAfterMs: 1_500 };
    const login = msgpackCodec().encode({ cmd: "login" });
    const plain = Buffer.from(told(msgpack(), login, busy) ?? "", "latin1");
    expect(msgpackCodec().decode(plain)).toMatchObject({ value, size: plain.length });
    const framed = lengthPrefixed({ size: 4, endian: "little", inner: msgpack() });
    const answer = Buffer.from(
      told(framed, Buffer.concat([Buffer.of(login.length, 0, 0, 0), login]), moved) ?? "",
      "latin1",
    );
    expect(answer.readUInt32LE(0)).toBe(answer.length - 4);
    expect(msgpackCodec().decode(answer.subarray(4))).toMatchObject({
      value: { error: "moved", status: 403, redirect: "other:1883" },
    });
  });

  test("a length field without room for the answer brings none", () => {
    const short = lengthPrefixed({ size: 1, inner: msgpack() });
    const login = msgpackCodec().encode({ cmd: "login" });
    const head = Buffer.concat([Buffer.of(login.length), login]);
    expect(told(short, head, closed)).toBeDefined();
    expect(told(short, head, { ...closed, reason: "x".repeat(300) })).toBeUndefined();
  });

  test("XMPP: a stream of ours, and an error in it that no text can leave", () => {
    const stream =
      "<stream:stream to='a&apos;b' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
    const answer = told(xmpp(), stream, { status: 403, reason: "</text> & more" });
    expect(answer).toContain("xmlns='jabber:server'");
    expect(answer).toContain("<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    expect(answer).toContain(">&lt;/text&gt; &amp; more</text></stream:error></stream:stream>");
    expect(told(xmpp(), stream, moved)).toContain(">other:1883</see-other-host>");
  });

  test("AMQP 1.0: header, open, close with an error", () => {
    const answer = told(amqp(), "AMQP\0\x01\0\0", closed) ?? "";
    expect(answer.startsWith("AMQP\0\x01\0\0\0\0\0\x1f\x02\0\0\0\0\x53\x10\xd0")).toBe(true);
    expect(answer).toContain("\xa3\x18amqp:unauthorized-access\xa1\x15closed for  the night");
  });
});

describe("docs/refusal.md", () => {
  const page = readFileSync(new URL("../../docs/refusal.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| (\d{3})[^|]* \| (.*) \|$/gm)].map(([, status, cells = ""]) => ({
    status: Number(status),
    cells: cells.split(" | "),
  }));

  test("has a row for each sniffer that refuses in its own words", () => {
    for (const { name } of sniffers) expect(page, name).toMatch(new RegExp(`^\\| \\[${name}\\]\\(`, "m"));
  });

  test("shows a sniffer of one's own that refuses", async () => {
    const code = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block = ""]) => block).at(-1) ?? "";
    using folder = new TempFolder({ "game.ts": code });
    const { game } = await importFresh(`${folder.path}/game.ts`);
    const sniffer = (game as () => Sniffer)();
    expect(told(sniffer, "GAME\x02", closed)).toBe("NO 403 closed for\r\nthe night\n");
    expect(told(sniffer, "GAME\x01", closed)).toBeUndefined();
  });

  test.each(rows)("says what $status is in other protocols", ({ status, cells }) => {
    const refusal = { status, reason: "r" };
    const byteAt = (sniffer: Sniffer, head: string | Uint8Array, at: number) =>
      told(sniffer, head, refusal)?.charCodeAt(at) ?? -1;
    const hex = (value: number) => `0x${value.toString(16)}`;
    const [startup = Buffer.alloc(0)] = postgres().examples;
    const connect = (version: 4 | 5) => encodeConnect({ version, clientId: "a" });
    const amqp091 = (told(amqp(), "AMQP\0\0\x09\x01", refusal) ?? "").split("…")[1] ?? "";
    expect(cells).toEqual([
      String(byteAt(mqtt(), connect(4), 3)),
      hex(byteAt(mqtt(), connect(5), 3)),
      hex(byteAt(http2(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 9 + 9 + 7)),
      String(byteAt(tls(), hello(), 6)),
      String(byteAt(ssh(), "SSH-2.0-x\r\n", 19 + 9)),
      /C(\w{5})\0/.exec(told(postgres(), startup, refusal) ?? "")?.[1],
      String(amqp091.charCodeAt(11) * 256 + amqp091.charCodeAt(12)),
      /amqp:([\w:-]+)/.exec(told(amqp(), "AMQP\0\x01\0\0", refusal) ?? "")?.[1],
      String(byteAt(socks(), "\x05\x01\0", 4)),
      String(byteAt(dns(), dns().examples[0] ?? "", 5)),
      /stream:error><([\w-]+)/.exec(told(xmpp(), xmpp().examples[0] ?? "", refusal) ?? "")?.[1],
    ]);
  });
});

describe("a protocol that nobody knows", () => {
  const unknown = (head: string | Uint8Array) => {
    const words = refuseUnknown(closed, typeof head === "string" ? Buffer.from(head) : head);
    return words && Buffer.from(words).toString();
  };
  test.each(["hello\n", "hi\n", "USER ann\r\n", "NICK café\r\n", "\tx y z", `${"a".repeat(255)}é`])(
    "%j gets a line of text",
    (head) => {
      expect(unknown(head)).toBe("closed for  the night\r\n");
    },
  );
  test.each(["GET / HTTP/1.1\r\nHost: x\r\n\r\n", `POST /a HTTP/1.0\r\nX: ${"x".repeat(900)}`])(
    "%j gets HTTP",
    (head) => {
      expect(unknown(head)).toMatch(/^HTTP\/1\.1 403 /);
    },
  );
  test.each(["", "abc", "\0\0\0\x05hello", "hello\0", "\x16\x03\x01\x02\0"])("%j gets nothing", (head) => {
    expect(unknown(head)).toBeUndefined();
  });
  test("no bytes are too much for it", () => {
    fc.assert(fc.property(fc.uint8Array(), (head) => void refuseUnknown(closed, head)));
    expect(unknown(Buffer.from("c3a9ff0a41414141", "hex"))).toBeUndefined();
  });
});

function hello(): Uint8Array {
  const [example = Buffer.alloc(0)] = tls().examples;
  expect(decodeClientHello(example).kind).toBe("frame");
  return example;
}
