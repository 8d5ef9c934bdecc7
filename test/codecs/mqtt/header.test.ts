import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeHeader, scanHeader, scanPacket } from "../../../src/codecs/mqtt/header.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const MAX = 300_000_000;
const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("the fixed header", () => {
  test.each([
    ["c0 00", { type: 12, flags: 0, bodyStart: 2, packetBytes: 2 }],
    ["10 7f", { type: 1, flags: 0, bodyStart: 2, packetBytes: 129 }],
    ["10 80 01", { type: 1, flags: 0, bodyStart: 3, packetBytes: 131 }],
    ["3d ff 7f", { type: 3, flags: 13, bodyStart: 3, packetBytes: 16_386 }],
    ["82 80 80 01", { type: 8, flags: 2, bodyStart: 4, packetBytes: 16_388 }],
    ["10 ff ff ff 7f", { type: 1, flags: 0, bodyStart: 5, packetBytes: 268_435_460 }],
  ])("%s is read, whatever follows", (hex, value) => {
    const frame = { kind: "frame", value, size: value.bodyStart };
    expect(scanHeader(bytesOf(hex), MAX)).toEqual(frame);
    expect(scanHeader(Buffer.concat([bytesOf(hex), Buffer.alloc(9, 0xff)]), MAX)).toEqual(frame);
  });

  test.each([
    ["00 00", "packet type 0 is reserved"],
    ["11 00", "flags 1 of packet type 1"],
    ["1f 00", "flags 15 of packet type 1"],
    ["36 00", "flags 6 of packet type 3"],
    ["60 02", "flags 0 of packet type 6"],
    ["e1 00", "flags 1 of packet type 14"],
    ["10 80 00", "a length not in its shortest form"],
    ["10 ff ff ff 00", "a length not in its shortest form"],
    ["10 ff ff ff ff 00", "a length of more than four bytes"],
    ["10 ff ff ff 80", "a length of more than four bytes"],
  ])("%s is malformed", (hex, reason) => {
    expect(scanHeader(bytesOf(hex), MAX)).toEqual({ kind: "malformed", reason });
  });

  test.each([
    ["", 1],
    ["10", 2],
    ["10 80", 3],
    ["10 ff ff", 4],
    ["10 ff ff ff", 5],
  ])("%j asks for one byte more", (hex, atLeast) => {
    expect(scanHeader(bytesOf(hex), MAX)).toEqual({ kind: "more", atLeast });
  });

  test("a packet over the limit is refused before any of its body is there", () => {
    expect(scanHeader(bytesOf("30 ff ff ff 7f"), 65_536).kind).toBe("malformed");
    expect(scanHeader(bytesOf("30 64"), 101).kind).toBe("malformed");
    expect(scanHeader(bytesOf("30 64"), 102).kind).toBe("frame");
  });
});

test("a packet is a frame once it is whole, and until then asks for just its size", () => {
  const packet = bytesOf("d0 00 30 05");
  expect(scanPacket(packet, MAX)).toMatchObject({ kind: "frame", size: 2 });
  expect(scanPacket(packet.subarray(2), MAX)).toEqual({ kind: "more", atLeast: 7 });
});

test("a header is read back as it was written", () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 268_435_455 }), fc.integer({ min: 0, max: 20_000 }));
  fc.assert(
    fc.property(length, (bodyBytes) => {
      const header = encodeHeader(8, 2, bodyBytes);
      expect(scanHeader(header, MAX)).toEqual({
        kind: "frame",
        value: { type: 8, flags: 2, bodyStart: header.length, packetBytes: header.length + bodyBytes },
        size: header.length,
      });
    }),
    { numRuns: RUNS },
  );
});
