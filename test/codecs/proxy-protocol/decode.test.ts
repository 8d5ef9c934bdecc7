import { describe, expect, test } from "vitest";
import { decodeProxyHeader, NO_PROXY_HEADER } from "../../../src/codecs/proxy-protocol/decode.ts";
import { readTlvs } from "../../../src/codecs/proxy-protocol/tlv.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const REST = Buffer.from("GET / HTTP/1.0\r\n\r\n");

const decode = (bytes: Uint8Array) => decodeProxyHeader(bytes, { maxBytes: 16_384 });

/** A version 2 header from hex, with its length filled in. */
function v2(commandAndFamily: string, block: string): Buffer {
  const bytes = Buffer.from(block, "hex");
  const length = bytes.length.toString(16).padStart(4, "0");
  return Buffer.concat([Buffer.from(`${SIGNATURE}${commandAndFamily}${length}`, "hex"), bytes]);
}

const INET = "c0000201c6336402d4310050"; // 192.0.2.1:54321 to 198.51.100.2:80
const INET6 = `20010db8000000000000000000000001${"0".repeat(31)}1d43101bb`;
const path = (text: string): string => Buffer.from(text).toString("hex").padEnd(216, "0");
const v4Ends = { source: { host: "192.0.2.1", port: 54_321 }, destination: { host: "198.51.100.2", port: 80 } };
const v6Ends = { source: { host: "2001:db8::1", port: 54_321 }, destination: { host: "::1", port: 443 } };
const nothing = { source: undefined, destination: undefined, tlvs: [] };
const line = (text: string): Buffer => Buffer.from(text, "latin1");

const accepted: [string, Buffer, object][] = [
  [
    "v1 TCP4",
    line("PROXY TCP4 192.0.2.1 198.51.100.2 54321 80\r\n"),
    { version: 1, command: "proxy", ...v4Ends, tlvs: [] },
  ],
  [
    "v1 TCP6 in another spelling",
    line("PROXY TCP6 2001:DB8:0:0::1 ::1 54321 443\r\n"),
    { version: 1, command: "proxy", ...v6Ends, tlvs: [] },
  ],
  [
    "v1 TCP6 with IPv4 written as IPv6",
    line("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 65535\r\n"),
    {
      version: 1,
      command: "proxy",
      source: { host: "192.0.2.1", port: 0 },
      destination: { host: "::1", port: 65_535 },
      tlvs: [],
    },
  ],
  ["v1 UNKNOWN", line("PROXY UNKNOWN\r\n"), { version: 1, command: "proxy", ...nothing }],
  ["v1 UNKNOWN with text", line("PROXY UNKNOWN a \r b\n \xff\r\n"), { version: 1, command: "proxy", ...nothing }],
  [
    "the longest v1 line, 107 bytes",
    line(`PROXY UNKNOWN ${"x".repeat(91)}\r\n`),
    { version: 1, command: "proxy", ...nothing },
  ],
  ["v2 INET STREAM", v2("2111", INET), { version: 2, command: "proxy", ...v4Ends, tlvs: [] }],
  ["v2 INET DGRAM", v2("2112", INET), { version: 2, command: "proxy", ...v4Ends, tlvs: [] }],
  ["v2 INET6 STREAM", v2("2121", INET6), { version: 2, command: "proxy", ...v6Ends, tlvs: [] }],
  [
    "v2 UNIX STREAM",
    v2("2131", path("/run/a.sock") + path("/run/b.sock")),
    {
      version: 2,
      command: "proxy",
      source: { host: "unix:/run/a.sock", port: 0 },
      destination: { host: "unix:/run/b.sock", port: 0 },
      tlvs: [],
    },
  ],
  [
    "v2 UNIX with an unnamed, an abstract socket",
    v2("2132", path("") + path("\0abstract")),
    {
      version: 2,
      command: "proxy",
      source: { host: "unix:", port: 0 },
      destination: { host: "unix:@abstract", port: 0 },
      tlvs: [],
    },
  ],
  ["v2 LOCAL", v2("2000", ""), { version: 2, command: "local", ...nothing }],
  ["v2 LOCAL with a block to discard", v2("20ff", "0123456789"), { version: 2, command: "local", ...nothing }],
  ["v2 UNSPEC", v2("2100", ""), { version: 2, command: "proxy", ...nothing }],
  ["v2 UNSPEC with addresses of unknown form", v2("2100", "ff"), { version: 2, command: "proxy", ...nothing }],
  [
    "v2 UNSPEC with a TLV",
    v2("2100", "02000161"),
    { version: 2, command: "proxy", ...nothing, tlvs: [{ type: 2, value: Uint8Array.of(0x61) }] },
  ],
  [
    "v2 with TLVs, padding between them",
    v2("2111", `${INET}0400020000ea0003010203040000020001ff`),
    {
      version: 2,
      command: "proxy",
      ...v4Ends,
      tlvs: [
        { type: 0xea, value: Uint8Array.of(1, 2, 3) },
        { type: 0x02, value: Uint8Array.of(0xff) },
      ],
    },
  ],
];

describe.each(accepted)("%s", (_, bytes, value) => {
  const whole = { kind: "frame", value, size: bytes.length };

  test("is a header, and what follows is the client's", () => {
    expect(decode(bytes)).toEqual(whole);
    expect(decode(Buffer.concat([bytes, REST]))).toEqual(whole);
  });

  test("asks for more at every split, never for bytes it has or that are not part of it", () => {
    for (let size = 0; size < bytes.length; size++) {
      const early = decode(bytes.subarray(0, size));
      expect(early.kind, `after ${size} bytes`).toBe("more");
      if (early.kind !== "more") continue;
      expect(early.atLeast).toBeGreaterThan(size);
      expect(early.atLeast).toBeLessThanOrEqual(bytes.length);
    }
  });
});

test("version 2 asks for its fixed part, then for all of itself", () => {
  const bytes = v2("2111", INET);
  expect(decode(bytes.subarray(0, 1))).toEqual({ kind: "more", atLeast: 16 });
  expect(decode(bytes.subarray(0, 16))).toEqual({ kind: "more", atLeast: 28 });
});

test("a value is independent of the buffer in which it came", () => {
  const bytes = v2("2111", `${INET}02000161`);
  const decoded = decode(bytes);
  bytes.fill(0);
  expect(decoded).toMatchObject({ value: { tlvs: [{ type: 2, value: Uint8Array.of(0x61) }] } });
});

/** What is wrong, from which byte on that is certain, and what is said then and after. */
const refused: [string, Buffer, number, string][] = [
  ["another protocol", REST, 1, NO_PROXY_HEADER],
  ["a TLS hello", Buffer.from("16030100", "hex"), 1, NO_PROXY_HEADER],
  ["a method that begins alike", line("PROPFIND / HTTP/1.1\r\n"), 4, NO_PROXY_HEADER],
  ["lower case", line("proxy tcp4"), 1, NO_PROXY_HEADER],
  ["an empty line before other text", line("\r\nGET"), 3, NO_PROXY_HEADER],
  ["v1 of UDP", line("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"), 8, "bad protocol"],
  ["v1 TCP", line("PROXY TCP 1.1.1.1 1.1.1.1 1 1\r\n"), 10, "bad protocol"],
  ["v1 with two spaces", line("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n"), 7, "bad protocol"],
  ["v1 with a tab", line("PROXY TCP4\t1.1.1.1 1.1.1.1 1 1\r\n"), 11, "bad protocol"],
  ["v1 UNKNOWN run on", line("PROXY UNKNOWNS\r\n"), 14, "bad protocol"],
  ["v1 with an impossible address", line("PROXY TCP4 999.1.1.1 1.1.1.1 1 1\r\n"), 21, "bad source address"],
  ["v1 with a name", line("PROXY TCP4 localhost 1.1.1.1 1 1\r\n"), 12, "bad source address"],
  ["v1 TCP4 with IPv6", line("PROXY TCP4 1.1.1.1 ::1 1 1\r\n"), 20, "bad destination address"],
  ["v1 TCP6 with IPv4", line("PROXY TCP6 1.1.1.1 ::1 1 1\r\n"), 19, "bad source address"],
  ["v1 TCP6 with a zone", line("PROXY TCP6 fe80::1%lo ::1 1 1\r\n"), 19, "bad source address"],
  ["v1 with port 99999", line("PROXY TCP4 1.1.1.1 1.1.1.1 99999 1\r\n"), 32, "bad source port"],
  ["v1 with a leading zero", line("PROXY TCP4 1.1.1.1 1.1.1.1 080 1\r\n"), 29, "bad source port"],
  ["v1 with a plus", line("PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n"), 30, "bad destination port"],
  ["v1 without ports", line("PROXY TCP4 1.1.1.1 1.1.1.1\r\n"), 27, "line ends too early"],
  ["v1 without a protocol", line("PROXY \r\n"), 7, "bad protocol"],
  ["v1 with a seventh field", line("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"), 31, "text after the last field"],
  ["v1 ended by LF alone", line("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\nGET"), 31, "bad destination port"],
  ["v1 with CR alone", line("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rGET"), 32, "CR without LF"],
  ["v1 without an end", line(`PROXY UNKNOWN ${"x".repeat(200)}`), 106, "line longer than 107 bytes"],
  ["v1 one byte too long", line(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`), 106, "line longer than 107 bytes"],
  ["v2 signature with a fault", Buffer.from(`0d0a0d0a000d0a515549540b2111`, "hex"), 12, NO_PROXY_HEADER],
  ["v2 of version 3", v2("3111", INET), 13, "unknown version 3"],
  ["v2 of version 1", v2("1111", INET), 13, "unknown version 1"],
  ["v2 with command 2", v2("2211", INET), 13, "unknown command 2"],
  ["v2 with family 4", v2("2141", INET), 14, "unknown address family 4"],
  ["v2 with transport 3", v2("2113", INET), 14, "unknown transport 3"],
  ["v2 INET without transport", v2("2110", INET), 14, "unknown transport 0"],
  ["v2 INET too short", v2("2111", INET.slice(2)), 16, "length too small for the address family"],
  ["v2 INET6 too short", v2("2121", INET), 16, "length too small for the address family"],
  ["v2 UNIX too short", v2("2131", path("/a")), 16, "length too small for the address family"],
  ["v2 with a TLV over the end", v2("2111", `${INET}02000261`), 32, "TLV longer than the header"],
  ["v2 with a TLV head cut", v2("2111", `${INET}0200`), 30, "TLV longer than the header"],
  ["v2 with a wrong checksum", v2("2111", `${INET}03000401020304`), 35, "wrong checksum"],
  ["v2 with a checksum of 3 bytes", v2("2111", `${INET}030003010203`), 34, "checksum is not 4 bytes"],
  ["v2 with two checksums", v2("2111", `${INET}0300040102030403000401020304`), 42, "two checksums"],
];

test.each(refused)("%s is refused as soon as that is certain", (_, bytes, certainAt, reason) => {
  for (let size = 0; size <= bytes.length; size++) {
    const said = decode(bytes.subarray(0, size));
    if (size < certainAt) expect(said.kind, `after ${size} bytes`).toBe("more");
    else expect(said, `after ${size} bytes`).toEqual({ kind: "malformed", reason });
  }
});

describe("a header larger than the limit", () => {
  test("is refused by its length alone, both numbers said", () => {
    const bytes = Buffer.concat([v2("2111", INET).subarray(0, 14), Buffer.from("ffff", "hex")]);
    const reason = "header of 65551 bytes, the limit is 16384";
    expect(decode(bytes)).toEqual({ kind: "malformed", reason });
    expect(decodeProxyHeader(bytes, { maxBytes: 65_551 })).toEqual({ kind: "more", atLeast: 65_551 });
  });

  test("is one byte more than the limit, not the limit itself", () => {
    const bytes = v2("2111", `${INET}020100${"61".repeat(256)}`);
    expect(decodeProxyHeader(bytes, { maxBytes: bytes.length }).kind).toBe("frame");
    const reason = `header of ${bytes.length} bytes, the limit is ${bytes.length - 1}`;
    expect(decodeProxyHeader(bytes, { maxBytes: bytes.length - 1 })).toEqual({ kind: "malformed", reason });
  });

  test("is also a line beyond a limit below 107 bytes", () => {
    const said = decodeProxyHeader(line(`PROXY UNKNOWN ${"x".repeat(60)}`), { maxBytes: 64 });
    expect(said).toEqual({ kind: "malformed", reason: "line longer than 64 bytes" });
  });
});

describe("a checksum (specification §2.2.3)", () => {
  // From HAProxy 2.6: 127.0.0.1:38090 to 127.0.0.1:18081, with the options crc32c, unique-id and ssl.
  const recorded = `${SIGNATURE}211100287f0000017f00000194ca46a103000473e1fef205000a69642d31323739382d312000050000000000`;

  test("is one that HAProxy made", () => {
    expect(decode(Buffer.from(recorded, "hex"))).toMatchObject({
      kind: "frame",
      value: { source: { host: "127.0.0.1", port: 38_090 }, tlvs: [{ type: 0x05 }, { type: 0x20 }] },
    });
  });

  test("finds any one wrong byte of the block", () => {
    const typeOfChecksum = 28; // changed, there is no checksum any more
    const good = Buffer.from(recorded, "hex");
    for (let index = 16; index < good.length; index++) {
      if (index === typeOfChecksum) continue;
      const bad = Buffer.from(good);
      bad[index] = (bad[index] ?? 0) ^ 0x10;
      expect(decode(bad).kind, `byte ${index}`).toBe("malformed");
    }
  });
});

describe("known TLVs", () => {
  const decodeFields = (tlvs: string): object => {
    const decoded = decode(v2("2111", INET + tlvs));
    return decoded.kind === "frame" ? readTlvs(decoded.value.tlvs) : decoded;
  };
  const none = { alpn: undefined, authority: undefined, uniqueId: undefined, ssl: undefined, netns: undefined };

  test("are read as what they mean", () => {
    const ssl = `20001e0500000000${"210007"}${Buffer.from("TLSv1.3").toString("hex")}22000c${Buffer.from("client.local").toString("hex")}`;
    expect(
      decodeFields(
        `0100026832 020009${Buffer.from("a.example").toString("hex")} 0500020a0b 300001 6e ${ssl}`.replaceAll(" ", ""),
      ),
    ).toEqual({
      alpn: "h2",
      authority: "a.example",
      uniqueId: Uint8Array.of(10, 11),
      netns: "n",
      ssl: {
        ssl: true,
        certOnConnection: false,
        certInSession: true,
        verify: 0,
        version: "TLSv1.3",
        commonName: "client.local",
        cipher: undefined,
        signatureAlgorithm: undefined,
        keyAlgorithm: undefined,
      },
    });
  });

  test.each([
    ["none", ""],
    ["an SSL value too short", "20000401000000"],
    ["an SSL part over the end", "2000080100000000210009"],
    ["a unique id of 129 bytes", `050081${"00".repeat(129)}`],
  ])("count as absent: %s", (_, tlvs) => {
    expect(decodeFields(tlvs)).toEqual(none);
  });

  test("the first of two counts", () => {
    expect(decodeFields("02000161 02000162".replaceAll(" ", ""))).toMatchObject({ authority: "a" });
  });
});
