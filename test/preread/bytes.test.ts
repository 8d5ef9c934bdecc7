import { describe, expect, test } from "vitest";
import { bytes } from "../../src/preread/bytes.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

const ascii = (text: string): Buffer => Buffer.from(text, "latin1");

const prefixed: readonly Sample[] = [
  { name: "the prefix and more", bytes: ascii("\x00\xffgame 7"), verdict: "match", info: {} },
  { name: "the first byte", bytes: ascii("\x00"), verdict: "more" },
  { name: "another second byte", bytes: ascii("\x00\xfe"), verdict: "mismatch" },
];
snifferLaws(bytes("\x00\xffgame"), prefixed);
promptLaw(bytes("\x00\xffgame"), prefixed);

const patterned: readonly Sample[] = [
  { name: "a match", bytes: ascii("LOGIN bob\n"), verdict: "match", info: {} },
  { name: "the literal text and part of the rest", bytes: ascii("login b"), verdict: "more" },
  { name: "part of the literal text", bytes: ascii("LOG"), verdict: "more" },
  { name: "another text", bytes: ascii("LOAD"), verdict: "mismatch" },
  { name: "no match within the limit", bytes: ascii("LOGIN 0123456789"), verdict: "mismatch" },
  { name: "a match behind the limit", bytes: ascii("LOGIN bob67890\n"), verdict: "mismatch" },
];
const login = bytes(/^login [a-z]{1,10}\n/gi, { maxBytes: 12, name: "login", example: "login x\n" });
snifferLaws(login, patterned);
promptLaw(login, patterned);
snifferLaws(bytes(/ok|yes/), [
  { name: "a match anywhere", bytes: ascii("well, yes"), verdict: "match" },
  { name: "no match yet", bytes: ascii("well, ye"), verdict: "more" },
  { name: "no match within 1,024 bytes", bytes: ascii("no".repeat(512)), verdict: "mismatch" },
]);

describe("bytes() with a pattern", () => {
  test.each([/^a$/, /\bword/, /end\B/, /a(?=b)/, /a(?!b)/, /^(x|y$)/m])("refuses %s, which looks ahead", (pattern) => {
    expect(() => bytes(pattern)).toThrow(/later bytes could undo a match/);
  });

  test.each([/[$\b]x/, /\$x/, /\\bx/, /(?<=a)b/, /(?<!a)b/, /(?<name>a)\k<name>/])("takes %s", (pattern) => {
    expect(() => bytes(pattern)).not.toThrow();
  });

  test.each([/a*/, /^/, /(?:)/, /a|/])("refuses %s, which matches nothing at all", (pattern) => {
    expect(() => bytes(pattern)).toThrow(/no bytes at all/);
  });

  test.each([
    [/^HELO /, "HELO ", "HX"],
    [/^\x7f\xfe[\s\S]/, "", "x"],
    [/^\x7fa[\s\S]/, "", "\x7fx"],
    [/^ab?c/, "", "x"],
    [/^ab{0,2}c/, "", "x"],
    [/^ab+/, "ab", "ac"],
    [/^a\.b/, "a.b", "axb"],
    [/^(a|b)c/, "", undefined],
    [/^a|b/, "a", undefined],
    [/^a/m, "a", undefined],
    [/ab/, "ab", undefined],
    [/^k/i, "k", "x"],
    [/^\xe9/i, "", undefined],
  ])("%s has the example %j and mismatches early on %j", (pattern, example, early) => {
    expect(bytes(pattern).examples).toEqual(example === "" ? [] : [ascii(example)]);
    if (early !== undefined) expect(bytes(pattern).sniff(ascii(early)).kind).toBe("mismatch");
    else expect(bytes(pattern).sniff(ascii("x")).kind).toBe("more");
  });

  test("still matches what has no b where the b may be absent", () => {
    for (const pattern of [/^ab?c/, /^ab*c/, /^ab{0,2}c/]) expect(bytes(pattern).sniff(ascii("ac")).kind).toBe("match");
  });

  test("sees a byte as one character", () => {
    expect(bytes(/^\xff.\xfe/).sniff(Buffer.of(0xff, 0x80, 0xfe)).kind).toBe("match");
  });

  test("refuses what cannot be meant", () => {
    expect(() => bytes(/a/y)).toThrow(TypeError);
    expect(() => bytes(/a/, { maxBytes: 0 })).toThrow(TypeError);
    expect(() => bytes(/^ab/, { example: "b" })).toThrow(/does not match its example/);
    expect(() => bytes("")).toThrow(TypeError);
    expect(() => bytes(new Uint8Array())).toThrow(TypeError);
    expect(() => bytes("€")).toThrow(/above U\+00FF/);
  });

  test("is named as wished", () => {
    expect([bytes("x").name, bytes("x", { name: "game" }).name, login.name]).toEqual(["bytes", "game", "login"]);
  });
});
