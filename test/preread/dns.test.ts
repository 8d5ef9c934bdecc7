import { describe, expect, test } from "vitest";
import { dns } from "../../src/preread/dns.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

interface Message {
  readonly name?: readonly string[];
  readonly flags?: number;
  readonly counts?: readonly [number, number, number, number];
  readonly type?: number;
  readonly class?: number;
  readonly tail?: Buffer;
}

function message(options: Message = {}): Buffer {
  const {
    name = ["example", "com"],
    flags = 0x0100,
    counts = [1, 0, 0, 0],
    type = 1,
    tail = Buffer.alloc(0),
  } = options;
  const header = Buffer.alloc(12);
  for (const [index, word] of [0x1234, flags, ...counts].entries()) header.writeUInt16BE(word, index * 2);
  const labels = name.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")]));
  const end = Buffer.of(0, type >> 8, type & 0xff, 0, options.class ?? 1);
  const body = Buffer.concat([header, ...labels, end, tail]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  return Buffer.concat([length, body]);
}

const labels = (...sizes: number[]): string[] => sizes.map((size) => "x".repeat(size));
const EDNS = Buffer.from("000029100000000000000c000a00080102030405060708", "hex");

const samples: readonly Sample[] = [
  { name: "a query", bytes: message(), verdict: "match", info: { id: 0x1234, name: "example.com", type: "A" } },
  {
    name: "a query with EDNS",
    bytes: message({ counts: [1, 0, 0, 1], type: 65, tail: EDNS }),
    verdict: "match",
    info: { id: 0x1234, name: "example.com", type: "HTTPS" },
  },
  {
    name: "a query of mixed case and odd bytes",
    bytes: message({ name: ["eXaMpLe", "a.b\\ \xc0"], type: 65400 }),
    verdict: "match",
    info: { id: 0x1234, name: "example.a\\.b\\\\\\032\\192", type: "TYPE65400" },
  },
  { name: "a query for the root", bytes: message({ name: [], type: 2 }), verdict: "match" },
  { name: "two queries in a row", bytes: Buffer.concat([message(), message()]), verdict: "match" },
  { name: "RFC 1996: a notify", bytes: message({ flags: 0x2400, type: 6 }), verdict: "match" },
  { name: "half a query", bytes: message().subarray(0, 20), verdict: "more" },
  { name: "a byte", bytes: Buffer.of(0), verdict: "more" },
  { name: "a response", bytes: message({ flags: 0x8180 }), verdict: "mismatch" },
  { name: "a truncated message", bytes: message({ flags: 0x0300 }), verdict: "mismatch" },
  { name: "a response code", bytes: message({ flags: 0x0103 }), verdict: "mismatch" },
  { name: "an operation that does not exist", bytes: message({ flags: 0x7800 }), verdict: "mismatch" },
  { name: "RFC 9619: two questions", bytes: message({ counts: [2, 0, 0, 0] }), verdict: "mismatch" },
  { name: "no question", bytes: message({ counts: [0, 0, 0, 0] }), verdict: "mismatch" },
  { name: "more records than bytes", bytes: message({ counts: [1, 0, 0, 3], tail: EDNS }), verdict: "mismatch" },
  { name: "bytes behind the question", bytes: message({ tail: EDNS }), verdict: "mismatch" },
  { name: "a class that does not exist", bytes: message({ class: 9 }), verdict: "mismatch" },
  { name: "type 0", bytes: message({ type: 0 }), verdict: "mismatch" },
  { name: "a label of 64 bytes", bytes: message({ name: ["x".repeat(64)] }), verdict: "mismatch" },
  { name: "RFC 1035 §3.1: a name of 255 bytes", bytes: message({ name: labels(63, 63, 63, 61) }), verdict: "match" },
  { name: "a name of 256 bytes", bytes: message({ name: labels(63, 63, 63, 62) }), verdict: "mismatch" },
  { name: "a length below any message", bytes: Buffer.of(0, 16), verdict: "mismatch" },
  { name: "text", bytes: Buffer.from("PING\r\n"), verdict: "mismatch" },
];
snifferLaws(dns(), samples);
promptLaw(dns(), samples);

describe("dns()", () => {
  test("does not wait for a name that would be longer than its message", () => {
    const short = message({ name: ["x"] });
    short[14] = 40;
    expect(dns().sniff(short).kind).toBe("mismatch");
  });

  test("takes no text for a length", () => {
    for (let byte = 0x09; byte < 256; byte++) expect(dns().sniff(Buffer.of(byte)).kind).toBe("mismatch");
  });
});
