import { describe, expect, expectTypeOf, test } from "vitest";
import { bytes } from "../../src/preread/bytes.ts";
import { http } from "../../src/preread/http.ts";
import { lengthPrefixed } from "../../src/preread/length-prefixed.ts";
import { msgpack } from "../../src/preread/msgpack.ts";
import { ssh } from "../../src/preread/ssh.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";
import { sample } from "./rig.ts";

const big: readonly Sample[] = [
  sample("a frame and the next", "\0\0\0\x03abc\0\0", "match", {
    length: 3,
    inner: undefined,
    innerProtocol: undefined,
  }),
  sample("half a frame", "\0\0\0\x03a", "more"),
  sample("half a length", "\0\0", "more"),
  sample("no byte of payload", "\0\0\0\0", "mismatch"),
  sample("text, at its first byte", "h", "mismatch"),
  sample("a length above the limit, at the third byte", "\0\0\x02", "mismatch"),
  sample("a length above the limit by one", "\0\0\x01\x01", "mismatch"),
];
snifferLaws(lengthPrefixed({ size: 4, max: 256 }), big);
promptLaw(lengthPrefixed({ size: 4, max: 256 }), big);

const little: readonly Sample[] = [
  sample("a frame that counts its header", "\x05\0abc", "match", {
    length: 3,
    inner: undefined,
    innerProtocol: undefined,
  }),
  sample("a length of the header alone", "\x02\0", "mismatch"),
  sample("a length below the header", "\x01\0", "mismatch"),
  sample("a length above the limit", "\x00\x03", "mismatch"),
  sample("the low byte", "\xff", "more"),
];
snifferLaws(lengthPrefixed({ size: 2, endian: "little", includesHeader: true, max: 512 }), little);
promptLaw(lengthPrefixed({ size: 2, endian: "little", includesHeader: true, max: 512 }), little);

const inside: readonly Sample[] = [
  sample("an inner match", "\x0cSSH-2.0-abc\nmore", "match", {
    length: 12,
    inner: { banner: "SSH-2.0-abc" },
    innerProtocol: "ssh",
  }),
  sample("an inner match in a frame that is not whole", "\x10SSH-2.0-abc\n", "more"),
  sample("an inner sniffer still hungry at the frame's end", "\x07SSH-2.0-abc\n", "mismatch"),
  sample("what the inner sniffer refuses", "\x10SSX", "mismatch"),
];
snifferLaws(lengthPrefixed({ size: 1, max: 255, inner: ssh() }), inside);
promptLaw(lengthPrefixed({ size: 1, max: 255, inner: bytes("SSH-") }), inside);
test("without max, a frame may be as large as fits into a preread buffer of 16 KiB", () => {
  const sniffer = lengthPrefixed({ size: 2 });
  expect(sniffer.sniff(Buffer.from([0x3f, 0xfe])).kind).toBe("more");
  expect(sniffer.sniff(Buffer.from([0x3f, 0xff])).kind).toBe("mismatch");
  expect(lengthPrefixed({ size: 1 }).sniff(Buffer.from([0xff])).kind).toBe("more");
});

snifferLaws(lengthPrefixed({ size: 2, max: 10, min: 0 }), [
  sample("an empty frame where it is allowed", "\0\0", "match", {
    length: 0,
    inner: undefined,
    innerProtocol: undefined,
  }),
]);

describe("lengthPrefixed()", () => {
  test("frames the examples of its inner sniffer, if they fit", () => {
    const { examples } = lengthPrefixed({ size: 4, endian: "little", includesHeader: true, max: 1_000, inner: http() });
    expect(examples.length).toBe(http().examples.length);
    expect(lengthPrefixed({ size: 1, max: 5, inner: ssh() }).examples).toEqual([]);
  });

  test("lets an inner sniffer remember what it saw of one client", () => {
    const sniffer = lengthPrefixed({ size: 4, max: 10_000, inner: msgpack({ type: "login" }) });
    const [payload = Buffer.alloc(0)] = msgpack({ type: "login" }).examples;
    const frame = Buffer.concat([Buffer.of(0, 0, 0, payload.length), payload]);
    const begun = sniffer.begin?.();
    for (let size = 0; size < frame.length; size++) expect(begun?.(frame.subarray(0, size)).kind).toBe("more");
    expect(begun?.(frame)).toEqual(sniffer.sniff(frame));
    expect(lengthPrefixed({ size: 4, max: 10, inner: ssh() }).begin).toBeUndefined();
  });

  test("knows the type of its inner info", () => {
    const sniffer = lengthPrefixed({ size: 4, max: 10, inner: ssh() });
    const verdict = sniffer.sniff(Buffer.alloc(0));
    if (verdict.kind === "match") expectTypeOf(verdict.info.inner).toEqualTypeOf<{ banner: string } | undefined>();
  });

  test.each([
    [{ size: 1, max: 256 }],
    [{ size: 4, max: 0 }],
    [{ size: 4, max: 1.5 }],
    [{ size: 2, max: 10, min: 11 }],
    [{ size: 2, max: 10, min: -1 }],
    [{ size: 2, max: 2, includesHeader: true }],
    [{ size: 2, max: 10, min: 1, includesHeader: true }],
  ] as const)("refuses %j", (options) => {
    expect(() => lengthPrefixed(options)).toThrow(TypeError);
  });

  test("asks for the whole frame at once", () => {
    expect(lengthPrefixed({ size: 4, max: 9_000 }).sniff(Buffer.of(0, 0, 0x10, 0))).toEqual({
      kind: "more",
      atLeast: 4_100,
    });
  });
});
