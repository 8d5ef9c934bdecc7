import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import fc from "fast-check";
import { calculateJa3, calculateJa4, readTlsClientHello } from "read-tls-client-hello";
import { describe, expect, test } from "vitest";
import { type ClientHello, decodeClientHello } from "../../../src/codecs/tls/client-hello.ts";
import { encodeClientHello } from "../../../src/codecs/tls/client-hello-encode.ts";
import { MAX_HELLO_BYTES } from "../../../src/codecs/tls/records.ts";
import { hello, recorded } from "../../fixtures/client-hello/recorded.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";
import { inRecords, message, messageIn, record } from "../../support/tls-records.ts";

const X25519MLKEM768 = 0x11ec;
const DOWN_FROM_12 = ["TLSv1.2", "TLSv1.1", "TLSv1"];
const A = "a.example";

function decoded(bytes: Uint8Array): ClientHello {
  const result = decodeClientHello(bytes);
  if (result.kind !== "frame") throw new Error(JSON.stringify(result));
  return result.value;
}

function reasonOf(bytes: Uint8Array): string {
  const result = decodeClientHello(bytes);
  return result.kind === "malformed" ? result.reason : result.kind;
}

/** As the engine does it: looks again only when so many bytes are there as were asked for. */
function looksUntilDecided(bytes: Uint8Array): number {
  let looks = 1;
  for (let size = 0; ; looks++) {
    const result = decodeClientHello(bytes.subarray(0, size));
    if (result.kind !== "more") return looks;
    expect(result.atLeast).toBeGreaterThan(size);
    expect(result.atLeast).toBeLessThanOrEqual(bytes.length);
    size = result.atLeast;
  }
}

describe("recorded hellos", () => {
  test.each<[string, Partial<ClientHello>]>([
    ["openssl-3.0-noservername", { serverName: undefined, alpn: [], versions: ["TLSv1.3", ...DOWN_FROM_12] }],
    ["openssl-3.0-servername", { serverName: A, alpn: [], ech: false }],
    ["openssl-3.0-alpn", { serverName: "shop.a.example", alpn: ["h2", "http/1.1"] }],
    ["openssl-3.0-psk", { serverName: A, extensions: [0, 11, 10, 35, 22, 23, 13, 43, 45, 51, 41] }],
    ["openssl-3.0-tls1_3", { versions: ["TLSv1.3"], ciphers: [0x1302, 0x1303, 0x1301, 0xff] }],
    ["openssl-3.0-tls1_2", { versions: DOWN_FROM_12, extensions: [0, 11, 10, 35, 22, 23, 13] }],
    ["openssl-3.0-tls1_2-no_ticket", { versions: DOWN_FROM_12, extensions: [0, 11, 10, 22, 23, 13] }],
    ["openssl-3.0-tls1", { serverName: A, versions: ["TLSv1"], signatureAlgorithms: [] }],
    ["openssl-3.0-tls1-bare", { serverName: undefined, versions: ["TLSv1"], ciphers: [0x2f, 0xff], extensions: [23] }],
    ["openssl-3.0-split-records", { serverName: A, versions: ["TLSv1.3", ...DOWN_FROM_12] }],
    ["curl-7.88", { serverName: "b.example", alpn: ["h2", "http/1.1"] }],
    ["python-ssl", { serverName: "python.example", versions: ["TLSv1.3", "TLSv1.2"] }],
    ["node-20", { serverName: "node.example", alpn: ["mqtt"], versions: ["TLSv1.3", "TLSv1.2"] }],
    ["node-24", { serverName: "node.example", alpn: ["mqtt"] }],
    ["node-24-split-records", { serverName: "node.example", alpn: [], groups: [0x11ec, 29, 23, 30, 24, 25, 256, 257] }],
    [
      "chromium-156",
      { serverName: "browser.example", alpn: ["h2", "http/1.1"], ech: true, groups: [0x11ec, 29, 23, 24] },
    ],
  ])("%s says what its client was told to say", (name, expected) => {
    const bytes = hello(name);
    expect(decodeClientHello(bytes)).toMatchObject({ kind: "frame", size: bytes.length, value: expected });
  });

  test("all of them are in the table above", () => expect(recorded.size).toBe(16));

  test.each([...recorded])("%s has the JA3 and JA4 that another implementation finds", async (_name, bytes) => {
    const single = record(messageIn(bytes)); // the other one cannot read a hello in several records
    const oracle = await readTlsClientHello(Readable.from(single, { objectMode: false }));
    expect(decoded(bytes)).toMatchObject({ ja3: calculateJa3(oracle), ja4: calculateJa4(oracle) });
  });

  test("are written as JSON with their fingerprints", () => {
    const hello = decoded(recorded.values().next().value ?? Buffer.alloc(0));
    expect(JSON.parse(JSON.stringify(hello))).toMatchObject({
      versions: hello.versions,
      ja3: hello.ja3,
      ja4: hello.ja4,
    });
  });

  test.each([...recorded])("%s is looked at a few times when it trickles in", (_name, bytes) => {
    expect(looksUntilDecided(bytes)).toBeLessThanOrEqual(8);
  });

  test.each([...recorded])("%s says the same whatever records it is cut into", (_name, bytes) => {
    const whole = messageIn(bytes);
    for (const sizes of [[whole.length], [1, 2, 1, whole.length], [9], [64], [512], [16_384]]) {
      const cut = inRecords(whole, sizes);
      expect(decodeClientHello(cut)).toEqual({ kind: "frame", value: decoded(bytes), size: cut.length });
    }
  });

  test("post-quantum key shares make hellos of more than one segment", () => {
    for (const name of ["node-24", "chromium-156"]) {
      expect(hello(name).length).toBeGreaterThan(1_500);
      expect(decoded(hello(name)).groups[0]).toBe(X25519MLKEM768);
    }
  });

  test("GREASE is nowhere in what is read of a browser", () => {
    const { ciphers, extensions, groups, signatureAlgorithms, versions } = decoded(hello("chromium-156"));
    const isGrease = (value: number) => (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
    expect([ciphers, extensions, groups, signatureAlgorithms].flat().filter(isGrease)).toEqual([]);
    expect(versions).toEqual(["TLSv1.3", "TLSv1.2"]);
  });
});

describe("what is refused", () => {
  const body = messageIn(encodeClientHello({ serverName: A })).subarray(4);
  const EXTENSIONS_AT = 2 + 32 + 1 + 2 + 2 + 2; // version, random, empty session id, one cipher, one compression method
  const bodyWith = (extensions: Uint8Array) =>
    Buffer.concat([body.subarray(0, EXTENSIONS_AT), Buffer.of(extensions.length >> 8, extensions.length), extensions]);
  const withExtension = (type: number, hex: string) =>
    encodeClientHello({
      groups: [],
      signatureAlgorithms: [],
      versions: [],
      further: [[type, Buffer.from(hex, "hex")]],
    });
  const named = (name: string) => encodeClientHello({ serverName: name });

  test.each<[string, Uint8Array, RegExp]>([
    ["an SSLv2 hello", Buffer.from("802e010002", "hex"), /SSLv2/],
    ["an SSLv2 hello by its first byte", Buffer.of(0x80), /SSLv2/],
    ["a plain protocol", Buffer.from("GET / HTTP/1.1\r\n"), /^record type 71 /],
    ["an alert", Buffer.from("15030100020100", "hex"), /^record type alert /],
    ["application data", Buffer.from("1703030001ff", "hex"), /^record type application_data /],
    ["another first byte after 0x16", Buffer.of(0x16, 0x47), /record version/],
    ["an unknown minor version", Buffer.of(0x16, 3, 5), /record version/],
    ["an empty record", Buffer.from("1603010000", "hex"), /empty handshake record/],
    ["an empty record in the middle", Buffer.from("160301000101" + "1603010000", "hex"), /empty handshake record/],
    ["a record that is too long", Buffer.from("1603014001", "hex"), /record of 16385 bytes/],
    ["another handshake message", record(message(body, 2)), /handshake message 2 /],
    [
      "an alert between two fragments",
      Buffer.concat([record(Buffer.of(1, 0)), record(Buffer.of(1, 0), 21)]),
      /type alert/,
    ],
    ["a hello that is too long", record(Buffer.of(1, 0, 0x40, 1)), /ClientHello of 16385 bytes/],
    ["bytes behind the hello", record(Buffer.concat([message(body), Buffer.of(1)])), /behind the ClientHello/],
    ["a hello in one-byte records", inRecords(messageIn(hello("node-24")), [1]), /more than 257 records/],
    ["a hello cut short", record(message(body.subarray(0, 20))), /cut short/],
    ["an empty hello", record(message(Buffer.alloc(0))), /cut short/],
    ["a version before SSL 3.0", record(message(Buffer.concat([Buffer.of(0, 2), body.subarray(2)]))), /older than SSL/],
    [
      "a session id that is too long",
      record(message(Buffer.concat([Buffer.alloc(34, 3), Buffer.alloc(40, 33)]))),
      /session id/,
    ],
    [
      "no ciphers",
      record(message(Buffer.concat([Buffer.alloc(34, 3), Buffer.from("0000000100", "hex")]))),
      /at least 2/,
    ],
    [
      "half a cipher",
      record(message(Buffer.concat([Buffer.alloc(34, 3), Buffer.from("0000031301130100", "hex")]))),
      /cipher_suites: cut short/,
    ],
    [
      "no compression method",
      record(message(Buffer.concat([Buffer.alloc(34, 3), Buffer.from("000002130100", "hex")]))),
      /at least 1/,
    ],
    ["bytes behind the extensions", record(message(Buffer.concat([body, Buffer.of(0)]))), /trailing bytes/],
    [
      "an extension that is cut short",
      record(message(bodyWith(Buffer.from("0017000100", "hex").subarray(0, 4)))),
      /extensions: cut short/,
    ],
    [
      "an extension that comes twice",
      record(message(bodyWith(Buffer.from("0017000000170000", "hex")))),
      /type 23 twice/,
    ],
    [
      "an unknown extension that comes twice",
      record(message(bodyWith(Buffer.from("5a5a00005a5a0000", "hex")))),
      /type 23130 twice/,
    ],
    ["an empty server name list", withExtension(0, "0000"), /serverName/],
    ["a server name extension without list", withExtension(0, ""), /serverName/],
    ["an empty server name", withExtension(0, "0003000000"), /server_name/],
    ["two host names", withExtension(0, "00080000016100000162"), /two host names/],
    ["bytes behind the server name list", withExtension(0, "000400000161ff"), /trailing bytes/],
    ["a name with NUL", named("a\0.example"), /not a host name/],
    ["a name that is a path", named("../etc/passwd"), /not a host name/],
    ["a name with a star", named("*.example"), /not a host name/],
    ["a name with an empty label", named("a..example"), /not a host name/],
    ["a name of one dot", named("."), /not a host name/],
    ["a name with a space", named("a example"), /not a host name/],
    ["a name that is not ASCII", named("bücher.example"), /not a host name/],
    ["a name of 254 characters", named("a".repeat(254)), /not a host name/],
    ["an empty ALPN list", withExtension(16, "0000"), /alpn/],
    ["an empty protocol in ALPN", withExtension(16, "000100"), /alpn/],
    ["half a group", withExtension(10, "0003001d00"), /cut short/],
    ["no groups", withExtension(10, "0000"), /groups/],
    ["no point formats", withExtension(11, "00"), /pointFormats/],
    ["no signature algorithms", withExtension(13, "0000"), /signatureAlgorithms/],
    ["no supported versions", withExtension(43, "00"), /supportedVersions/],
    ["half a supported version", withExtension(43, "03030403"), /cut short/],
    ["an ECH of unknown type", withExtension(0xfe0d, "02"), /encryptedClientHello/],
    ["an ECH without payload", withExtension(0xfe0d, "0000010001000000" + "0000"), /encryptedClientHello/],
  ])("%s is malformed, and the reason says so", (_name, bytes, reason) => {
    expect(reasonOf(bytes)).toMatch(reason);
  });

  test("the names of TLS versions that nobody knows are left out", () => {
    expect(decoded(withExtension(43, "047f1c0304")).versions).toEqual(["TLSv1.3"]);
    expect(decoded(withExtension(43, "027f1c")).versions).toEqual([]);
  });
});

describe("what is accepted", () => {
  test.each([
    ["Example.COM", "example.com"],
    ["example.com.", "example.com"],
    ["_dmarc.a_b.example", "_dmarc.a_b.example"],
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "::1"],
    ["a".repeat(253), "a".repeat(253)],
  ])("the server name %s is read as %s", (written, read) => {
    expect(decoded(encodeClientHello({ serverName: written })).serverName).toBe(read);
  });

  test("a hello without extensions, as old clients write it", () => {
    const body = Buffer.concat([Buffer.of(3, 0), Buffer.alloc(32), Buffer.from("000002000a0100", "hex")]);
    expect(decoded(record(message(body)))).toMatchObject({ versions: ["SSLv3"], extensions: [], ciphers: [10] });
  });

  test("a version above TLS 1.2 in the old field counts as TLS 1.2", () => {
    const body = Buffer.concat([Buffer.of(3, 4), Buffer.alloc(32), Buffer.from("00000213010100", "hex")]);
    expect(decoded(record(message(body))).versions).toEqual(DOWN_FROM_12);
  });

  test("an inner ECH mark is not an outer hello", () => {
    const further = [[0xfe0d, Buffer.of(1)]] as const;
    expect(decoded(encodeClientHello({ further })).ech).toBe(false);
  });

  test(`a body of exactly ${MAX_HELLO_BYTES} bytes, and not one more`, () => {
    const padded = (size: number) => encodeClientHello({ further: [[21, Buffer.alloc(size)]] });
    const free = MAX_HELLO_BYTES - (messageIn(padded(0)).length - 4);
    expect(decodeClientHello(padded(free)).kind).toBe("frame");
    expect(reasonOf(padded(free + 1))).toMatch(/ClientHello of 16385 bytes/);
    expect(looksUntilDecided(inRecords(messageIn(padded(free)), [64]))).toBeLessThanOrEqual(8);
  });

  test("values that only look like GREASE are kept", () => {
    expect(decoded(encodeClientHello({ ciphers: [0x0a1a, 0x2a2a, 0x1301] })).ciphers).toEqual([0x0a1a, 0x1301]);
  });
});

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const u16 = fc.integer({ min: 0, max: 0xffff }).filter((value) => (value & 0x0f0f) !== 0x0a0a);
const offers = fc.record({
  serverName: fc.option(
    fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join(".")),
    { nil: undefined },
  ),
  alpn: fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), { maxLength: 6 }),
  versions: fc.subarray(["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3"], { minLength: 1 }),
  ciphers: fc.array(u16, { minLength: 1, maxLength: 60 }),
  groups: fc.array(u16, { minLength: 1, maxLength: 20 }),
  signatureAlgorithms: fc.array(u16, { minLength: 1, maxLength: 30 }),
});

test("any offer is read back as it was written, whatever records and segments it comes in", () => {
  const sizes = fc.array(fc.integer({ min: 8, max: 700 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(offers, sizes, (offer, cuts) => {
      const bytes = inRecords(messageIn(encodeClientHello(offer)), cuts);
      expect(decodeClientHello(bytes)).toMatchObject({ kind: "frame", value: offer, size: bytes.length });
      expect(looksUntilDecided(bytes)).toBeLessThanOrEqual(8);
    }),
    { numRuns: RUNS },
  );
});

const samples = [
  { name: "with a name", value: decoded(encodeClientHello({ serverName: A })) },
  { name: "with a name and protocols", value: decoded(encodeClientHello({ serverName: A, alpn: ["h2", "mqtt"] })) },
];
codecLaws({ name: "client-hello", decode: decodeClientHello, encode: encodeClientHello }, samples, [
  ...recorded.values(),
  inRecords(messageIn(hello("openssl-3.0-alpn")), [3, 100]),
]);

test("what openssl s_client of this machine sends is read", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "Live.Example", "-alpn", "h2,mqtt"];
  const client = spawn("openssl", args, { stdio: ["pipe", "ignore", "ignore"] });
  const [socket]: Socket[] = await once(server, "connection");
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket ?? []) {
    bytes = Buffer.concat([bytes, chunk]);
    if (decodeClientHello(bytes).kind !== "more") break;
  }
  expect(decoded(bytes)).toMatchObject({ serverName: "live.example", alpn: ["h2", "mqtt"] });
  client.stdin?.destroy();
  client.kill();
  await once(client, "exit");
  server.close();
  await once(server, "close");
});
