import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeClientHello } from "../../../src/codecs/tls/client-hello.ts";
import { encodeClientHello } from "../../../src/codecs/tls/client-hello-encode.ts";
import { helloExtension } from "../../../src/codecs/tls/hello-extension.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const COOKIE = 44;
const GREASE = 0x3a3a;

describe("helloExtension", () => {
  const further = [
    [COOKIE, Buffer.from("crumbs")],
    [GREASE, Buffer.of(1)],
    [0xff01, Buffer.alloc(0)],
  ] as const;
  const hello = encodeClientHello({ serverName: "App.test", further });

  test("gives an extension's data as it came", () => {
    expect(helloExtension(hello, COOKIE)?.toString()).toBe("crumbs");
    expect(helloExtension(hello, 0)?.toString("latin1")).toBe("\0\x0b\0\0\x08App.test");
  });

  test("gives GREASE too, which the list of types leaves out", () => {
    expect(helloExtension(hello, GREASE)).toEqual(Buffer.of(1));
    const decoded = decodeClientHello(hello);
    expect(decoded.kind === "frame" && decoded.value.extensions.includes(GREASE)).toBe(false);
  });

  test("tells an empty extension from one that is not there", () => {
    expect(helloExtension(hello, 0xff01)).toHaveLength(0);
    expect(helloExtension(hello, 0xff02)).toBeUndefined();
  });

  test("copies: the bytes of the hello may go", () => {
    const bytes = Buffer.from(hello);
    const data = helloExtension(bytes, COOKIE);
    bytes.fill(0);
    expect(data?.toString()).toBe("crumbs");
  });

  test("says nothing of bytes that are no whole hello, and never throws", () => {
    for (let size = 0; size < hello.length; size++)
      expect(helloExtension(hello.subarray(0, size), COOKIE)).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(hello.length), (noise, at) => {
        const bytes = Buffer.from(hello);
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), at);
        helloExtension(bytes, COOKIE);
      }),
      { numRuns: RUNS },
    );
  });
});
