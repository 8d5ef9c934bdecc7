import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Address } from "../../../src/codecs/address.ts";
import type { Codec } from "../../../src/codecs/codec.ts";
import { ipFromBytes } from "../../../src/codecs/ip.ts";
import { decodeProxyHeader, type ProxyHeader } from "../../../src/codecs/proxy-protocol/decode.ts";
import { encodeProxyHeader } from "../../../src/codecs/proxy-protocol/encode.ts";
import { type ProxyFields, readTlvs, writeTlvs } from "../../../src/codecs/proxy-protocol/tlv.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const decode = (bytes: Uint8Array) => decodeProxyHeader(bytes, { maxBytes: 16_384 });
const v4 = (host: string, port: number): Address => ({ host, port });
const unix = (path: string): Address => ({ host: `unix:${path}`, port: 0 });
const client = v4("192.0.2.1", 54_321);
const gateway = v4("198.51.100.2", 443);
const client6 = v4("2001:db8::1", 1);
const gateway6 = v4("::1", 65_535);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test.each([
  ["IPv4", client, gateway, "PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\r\n"],
  ["IPv6", client6, gateway6, "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"],
  ["mixed families", client, gateway6, "PROXY TCP6 ::ffff:192.0.2.1 ::1 54321 65535\r\n"],
  ["mixed the other way", client6, gateway, "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.2 1 443\r\n"],
  ["an address with a zone", v4("fe80::1%eth0", 1), gateway6, "PROXY TCP6 fe80::1 ::1 1 65535\r\n"],
  ["unix sockets", unix("/a"), unix("/b"), "PROXY UNKNOWN\r\n"],
  ["an unknown client", undefined, undefined, "PROXY UNKNOWN\r\n"],
  ["a name", v4("client.local", 1), gateway, "PROXY UNKNOWN\r\n"],
])("version 1 of %s", (_, source, destination, text) => {
  expect(utf8(encodeProxyHeader(1, { source, destination }))).toBe(text);
});

const SIGNATURE = "0d0a0d0a000d0a515549540a";
test.each([
  ["IPv4", client, gateway, "2111000cc0000201c6336402d43101bb"],
  ["IPv6", client6, gateway6, `2121002420010db8000000000000000000000001${"0".repeat(31)}10001ffff`],
  ["mixed families", client, gateway6, `21210024${"0".repeat(20)}ffffc0000201${"0".repeat(31)}1d431ffff`],
  ["unix sockets", unix("/a"), unix(""), `213100d8${"2f61".padEnd(432, "0")}`],
  ["unix and IP", unix("/a"), gateway, "21000000"],
  ["an unknown client", undefined, undefined, "20000000"],
])("version 2 of %s", (_, source, destination, bytes) => {
  expect(hex(encodeProxyHeader(2, { source, destination }))).toBe(SIGNATURE + bytes);
});

test("an abstract unix socket and a path as long as the kernel allows come back the same", () => {
  const ends = { source: unix("@abstract"), destination: unix(`/${"p".repeat(107)}`) };
  expect(decode(encodeProxyHeader(2, ends))).toMatchObject({ value: ends });
});

describe("the checksum", () => {
  const bytes = encodeProxyHeader(2, { source: client, destination: gateway, crc32c: true });

  test("is absent unless asked for", () => {
    expect(encodeProxyHeader(2, { source: client, destination: gateway })).toHaveLength(bytes.length - 7);
  });

  test("is accepted, and refused over other bytes", () => {
    expect(decode(bytes)).toMatchObject({ kind: "frame", value: { source: client, tlvs: [] } });
    const changed = Buffer.from(bytes);
    changed[20] = 1;
    expect(decode(changed)).toEqual({ kind: "malformed", reason: "wrong checksum" });
  });

  test("replaces the one of a header that is passed on", () => {
    const tlvs = [{ type: 3, value: Uint8Array.of(1, 2, 3, 4) }];
    const once = encodeProxyHeader(2, { source: client, destination: gateway, tlvs, crc32c: true });
    expect(hex(once)).toBe(hex(bytes));
  });
});

test("a unique id beyond 128 bytes is an error", () => {
  expect(writeTlvs({ uniqueId: new Uint8Array(128) })).toHaveLength(1);
  expect(() => writeTlvs({ uniqueId: new Uint8Array(129) })).toThrow("unique id of 129 bytes, the limit is 128");
});

test("a block that does not fit the length field is an error", () => {
  const tlvs = [{ type: 0xe0, value: new Uint8Array(65_535) }];
  expect(() => encodeProxyHeader(2, { source: client, destination: gateway, tlvs })).toThrow(TypeError);
});

const ip = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(ipFromBytes);
const address = fc.record({ host: ip, port: fc.nat(65_535) });
const text = fc.string({ unit: "binary", maxLength: 40 });
const fields: fc.Arbitrary<ProxyFields> = fc.record({
  alpn: fc.option(text, { nil: undefined }),
  authority: fc.option(text, { nil: undefined }),
  uniqueId: fc.option(fc.uint8Array({ maxLength: 128 }), { nil: undefined }),
  netns: fc.option(text, { nil: undefined }),
  ssl: fc.option(
    fc.record({
      ssl: fc.boolean(),
      certOnConnection: fc.boolean(),
      certInSession: fc.boolean(),
      verify: fc.nat(0xffffffff),
      version: fc.option(text, { nil: undefined }),
      commonName: fc.option(text, { nil: undefined }),
      cipher: fc.option(text, { nil: undefined }),
      signatureAlgorithm: fc.option(text, { nil: undefined }),
      keyAlgorithm: fc.option(text, { nil: undefined }),
    }),
    { nil: undefined },
  ),
});

test("any addresses and any fields come back as they were written", () => {
  const input = fc.record({
    version: fc.constantFrom(1 as const, 2 as const),
    address,
    to: address,
    fields,
    sum: fc.boolean(),
  });
  fc.assert(
    fc.property(input, ({ version, address: source, to: destination, fields: written, sum }) => {
      const bytes = encodeProxyHeader(version, { source, destination, tlvs: writeTlvs(written), crc32c: sum });
      const decoded = decode(bytes);
      if (decoded.kind !== "frame") throw new Error(JSON.stringify(decoded));
      expect(decoded.value).toMatchObject({ source, destination });
      expect(decoded.size).toBe(bytes.length);
      if (version === 2) expect(readTlvs(decoded.value.tlvs)).toEqual(written);
    }),
    { numRuns: RUNS },
  );
});

const codec: Codec<ProxyHeader> = {
  name: "PROXY header",
  decode,
  encode: (header) => encodeProxyHeader(header.version, header),
};
const nobody = { source: undefined, destination: undefined, tlvs: [] };
const tlvs = [...writeTlvs({ authority: "a.example", alpn: "h2" }), { type: 0xea, value: Uint8Array.of(1, 2) }].map(
  ({ type, value }) => ({ type, value: new Uint8Array(value) }),
);

codecLaws<ProxyHeader>(
  codec,
  [
    { name: "v1 IPv4", value: { version: 1, command: "proxy", source: client, destination: gateway, tlvs: [] } },
    { name: "v1 IPv6", value: { version: 1, command: "proxy", source: client6, destination: gateway6, tlvs: [] } },
    { name: "v1 UNKNOWN", value: { version: 1, command: "proxy", ...nobody } },
    { name: "v2 IPv4", value: { version: 2, command: "proxy", source: client, destination: gateway, tlvs } },
    { name: "v2 IPv6", value: { version: 2, command: "proxy", source: client6, destination: gateway6, tlvs } },
    { name: "v2 unix", value: { version: 2, command: "proxy", source: unix("/a"), destination: unix("@b"), tlvs } },
    { name: "v2 LOCAL", value: { version: 2, command: "local", ...nobody } },
  ],
  [
    encodeProxyHeader(2, { source: client, destination: gateway, tlvs, crc32c: true }),
    Buffer.from("PROXY UNKNOWN 1 2 3\r\nGET / HTTP/1.0\r\n\r\n"),
  ],
);
