import { readFileSync } from "node:fs";
import { parser } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { encodeConnect } from "../../src/codecs/mqtt/connect.ts";
import {
  amqp,
  bytes,
  dns,
  type Goodbye,
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
import { goodbyeLaws } from "../laws/goodbye-laws.ts";
import { TempFolder } from "../worker/temp-folder.ts";

const talking: readonly Sniffer[] = [
  amqp(),
  http2(),
  lengthPrefixed({ size: 2, max: 300, inner: mqtt() }),
  mqtt(),
  postgres(),
];
const silent: readonly Sniffer[] = [
  bytes("GAME"),
  dns(),
  http(),
  msgpack(),
  rdp(),
  redis(),
  socks(),
  ssh(),
  tls(),
  xmpp(),
];

for (const sniffer of talking) goodbyeLaws(sniffer);

const drained: Goodbye = { why: "drained", bytesSent: 10 };
const shutdown: Goodbye = { why: "shutdown", bytesSent: 10 };
const unanswered: Goodbye = { why: "drained", bytesSent: 0 };

/** What a client that began with `head` reads last. */
function told(sniffer: Sniffer, head: string | Uint8Array, goodbye: Goodbye): Buffer | undefined {
  const verdict = sniffer.sniff(typeof head === "string" ? Buffer.from(head, "latin1") : head);
  if (verdict.kind !== "match") throw new Error(verdict.kind);
  const words = sniffer.goodbye?.(goodbye, verdict.info);
  return words && Buffer.from(words);
}

test.each(silent.map((sniffer) => [sniffer.name, sniffer] as const))("%s has no words for it", (_name, sniffer) => {
  expect(sniffer.goodbye).toBeUndefined();
});

describe("MQTT", () => {
  const connect = (version: 3 | 4 | 5, maximumPacketSize?: number) =>
    encodeConnect({ version, clientId: "a", ...(maximumPacketSize && { properties: { maximumPacketSize } }) });
  const packetOf = (words: Uint8Array | undefined): unknown => {
    const packets: unknown[] = [];
    const reader = parser({ protocolVersion: 5 }).on("packet", (packet) => packets.push(packet));
    expect(reader.parse(Buffer.from(words ?? []))).toBe(0);
    expect(packets).toHaveLength(1);
    return packets[0];
  };

  test.each([
    [drained, 0x9c],
    [shutdown, 0x8b],
  ])("5: mqtt-packet reads the words for %j as DISCONNECT with %i", (goodbye, reasonCode) => {
    expect(packetOf(told(mqtt(), connect(5), goodbye))).toMatchObject({ cmd: "disconnect", reasonCode });
  });
  test.each([3, 4] as const)("level %i: a server has no DISCONNECT", (version) => {
    expect(told(mqtt(), connect(version), drained)).toBeUndefined();
  });
  test("[MQTT-3.14.0-1] nothing before the CONNACK", () => {
    expect(told(mqtt(), connect(5), unanswered)).toBeUndefined();
  });
  test("[MQTT-3.1.2-24] nothing to a client that takes no packet of that size", () => {
    expect(told(mqtt(), connect(5, 2), drained)).toBeUndefined();
    expect(told(mqtt(), connect(5, 4), drained)).toBeDefined();
  });
});

describe("other protocols", () => {
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const startup = "\0\0\0\x12\0\x03\0\0user\0ann\0\0";
  const fatal = "E\0\0\0\x4fSFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0";
  const row = (name: string, sniffer: Sniffer, head: string, goodbye: Goodbye, words: string | undefined) =>
    [name, sniffer, head, goodbye, words] as const;
  const amqpHeader = (tail: string) => `AMQP${tail}`;

  test.each([
    row("HTTP/2", http2(), preface, drained, "\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"),
    row("HTTP/2 before SETTINGS", http2(), preface, unanswered, undefined),
    row("PostgreSQL", postgres(), startup, shutdown, fatal),
    row("PostgreSQL that has not answered", postgres(), startup, unanswered, fatal),
    row("PostgreSQL behind a request for TLS", postgres(), "\0\0\0\x08\x04\xd2\x16\x2f", drained, undefined),
    row("PostgreSQL's cancel", postgres(), `\0\0\0\x10\x04\xd2\x16\x2e${"\0".repeat(8)}`, drained, undefined),
    row(
      "AMQP 0-9-1",
      amqp(),
      amqpHeader("\0\0\x09\x01"),
      drained,
      "\x01\0\0\0\0\0\x24\0\x0a\0\x32\x01\x40\x19this server is going away\0\0\0\0\xce",
    ),
    row("AMQP 0-9-1 before Connection.Start", amqp(), amqpHeader("\0\0\x09\x01"), unanswered, undefined),
    row("AMQP 1.0 that asks for TLS", amqp(), amqpHeader("\x02\x01\0\0"), drained, undefined),
    row("AMQP 0-10", amqp(), amqpHeader("\x01\x01\0\x0a"), drained, undefined),
  ])("%s", (_name, sniffer, head, goodbye, words) => {
    expect(told(sniffer, head, goodbye)?.toString("latin1")).toBe(words);
  });

  test("AMQP 1.0: close with an error, behind the peer's own open", () => {
    const words = told(amqp(), amqpHeader("\0\x01\0\0"), shutdown)?.toString("latin1");
    expect(words).toContain("\xa3\x16amqp:connection:forced\xa1\x1cthis server is shutting down");
    expect(words).not.toContain("AMQP");
  });

  test("length-prefixed: what the inner sniffer says, as a frame", () => {
    const framed = lengthPrefixed({ size: 2, inner: mqtt() });
    const connect = encodeConnect({ version: 5, clientId: "a" });
    const head = Buffer.concat([Buffer.of(0, connect.length), connect]);
    expect(told(framed, head, drained)).toEqual(
      Buffer.concat([Buffer.of(0, 4), told(mqtt(), connect, drained) ?? Buffer.alloc(0)]),
    );
    expect(lengthPrefixed({ size: 2 }).goodbye).toBeUndefined();
  });
});

describe("docs/goodbye.md", () => {
  const page = readFileSync(new URL("../../docs/goodbye.md", import.meta.url), "utf8");

  test.each(talking.map(({ name }) => name))("says what %s says, and so does its own page", (name) => {
    const file = name === "lengthPrefixed" ? "length-prefixed" : name;
    expect(page).toMatch(new RegExp(`^\\| \\[${name}\\]\\(sniffers/${file}\\.md\\)`, "m"));
    const own = readFileSync(new URL(`../../docs/sniffers/${file}.md`, import.meta.url), "utf8");
    expect(own).toContain("**[Goodbye](../goodbye.md).**");
  });

  test("shows a sniffer of one's own that says it", async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
    using folder = new TempFolder({ "game.ts": code });
    const { game } = await importFresh(`${folder.path}/game.ts`);
    const sniffer = (game as () => Sniffer)();
    expect(told(sniffer, "GAME\x02", drained)?.toString()).toBe("MOVE\n");
    expect(told(sniffer, "GAME\x02", shutdown)?.toString()).toBe("CLOSED\n");
    expect(told(sniffer, "GAME\x02", unanswered)).toBeUndefined();
    expect(told(sniffer, "GAME\x01", drained)).toBeUndefined();
  });
});
