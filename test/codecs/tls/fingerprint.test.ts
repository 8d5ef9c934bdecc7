import { describe, expect, test } from "vitest";
import { type FingerprintInput, ja3, ja4 } from "../../../src/codecs/tls/fingerprint.ts";

const numbers = (hex: string) => hex.split(",").map((digits) => Number.parseInt(digits, 16));

/** The example of the JA4 specification. */
const browser: FingerprintInput = {
  legacyVersion: 0x0303,
  supportedVersions: [0x0304, 0x0303],
  ciphers: numbers("1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"),
  extensions: numbers("001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"),
  groups: [29, 23, 24],
  pointFormats: [0],
  signatureAlgorithms: numbers("0403,0804,0401,0503,0805,0501,0806,0601"),
  firstAlpn: "h2",
};

test("JA4 of the specification's example", () => {
  expect(ja4(browser)).toBe("t13d1516h2_8daaf6152771_e5627efa2ab1");
});

test("JA4 without signature algorithms ends the text without an underscore", () => {
  expect(ja4({ ...browser, signatureAlgorithms: [] })).toBe("t13d1516h2_8daaf6152771_6d807ffa2a79");
});

test("JA4 does not depend on the order of ciphers and extensions, JA3 does", () => {
  const { ciphers, extensions } = browser;
  const shuffled = { ...browser, ciphers: ciphers.toReversed(), extensions: extensions.toReversed() };
  expect(ja4(shuffled)).toBe(ja4(browser));
  expect(ja3(shuffled)).not.toBe(ja3(browser));
});

test("JA4 of nothing has zeros instead of hashes", () => {
  const nothing = { ...browser, ciphers: [], extensions: [], supportedVersions: undefined, firstAlpn: undefined };
  expect(ja4(nothing)).toBe("t12i000000_000000000000_000000000000");
});

test("JA4 counts to 99", () => {
  const many = Array.from({ length: 120 }, (_, index) => 0x2000 + index);
  expect(ja4({ ...browser, ciphers: many, extensions: many }).slice(0, 10)).toBe("t13i9999h2");
});

describe("the version in JA4", () => {
  test.each([
    [0x0303, [0x0303, 0x0304], "13"],
    [0x0303, [0x0302, 0x0303], "12"],
    [0x0303, undefined, "12"],
    [0x0302, undefined, "11"],
    [0x0301, undefined, "10"],
    [0x0300, undefined, "s3"],
    [0x0303, [0x7f1c], "00"],
    [0x0303, [], "00"],
  ])("legacy %i with %j is %s", (legacyVersion, supportedVersions, version) => {
    expect(ja4({ ...browser, legacyVersion, supportedVersions }).slice(1, 3)).toBe(version);
  });
});

describe("the protocol in JA4", () => {
  test.each([
    ["h2", "h2"],
    ["http/1.1", "h1"],
    ["x", "xx"],
    ["", "00"],
    [undefined, "00"],
    ["\xab", "ab"],
    ["\xab\xcd", "ad"],
    ["0\xab", "3b"],
    ["01\xab\xcd", "3d"],
    ["0\xab\xcd1", "01"],
    ["a\n1", "a1"],
  ])("%j is %s", (firstAlpn, ends) => {
    expect(ja4({ ...browser, firstAlpn }).slice(8, 10)).toBe(ends);
  });
});

test("JA3 is the MD5 of the decimal lists", () => {
  const hello = { ...browser, legacyVersion: 769, ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4] };
  expect(ja3({ ...hello, extensions: [0, 10, 11], groups: [23, 24, 25] })).toBe("ada70206e40642a3e4461f35503241d5");
});
