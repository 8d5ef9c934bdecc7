import { describe, expect, test } from "vitest";
import { redis } from "../../src/preread/redis.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";
import { sample } from "./rig.ts";

const array = (...words: string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;

const samples: readonly Sample[] = [
  sample("redis-cli's PING", array("ping"), "match", { command: "PING", args: 0, inline: false }),
  sample("a login in RESP3", array("HELLO", "3", "AUTH", "me", "secret"), "match", {
    command: "HELLO",
    args: 4,
    inline: false,
  }),
  sample("a command of a module, its arguments still to come", "*3\r\n$8\r\nJSON.SET\r\n$3", "match"),
  sample("an array whose first string is not whole", "*2\r\n$4\r\nPI", "more"),
  sample("the star alone", "*", "more"),
  sample("an empty array", "*0\r\n", "mismatch"),
  sample("a count with a leading zero", "*01\r\n$4\r\nPING\r\n", "mismatch"),
  sample("more arguments than Redis takes", "*1048577\r\n", "mismatch"),
  sample("a name that is too long", "*1\r\n$65\r\n", "mismatch"),
  sample("a name of other letters", "*1\r\n$4\r\nPI/G\r\n", "mismatch"),
  sample("a string longer than it says", "*1\r\n$4\r\nPINGX\r\n", "mismatch"),
  sample("a line end of LF alone in an array", "*1\n$4\nPING\n", "mismatch"),
  sample("a line", "SET a b\n", "match", { command: "SET", args: 2, inline: true }),
  sample("a line in lower case with CR LF and two spaces", "set  a b\r\n*1", "match", {
    command: "SET",
    args: 2,
    inline: true,
  }),
  sample("a health check", "PING\r\n", "match", { command: "PING", args: 0, inline: true }),
  sample("a protocol choice by hand", "HELLO 3\r\n", "match", { command: "HELLO", args: 1, inline: true }),
  sample("a word that may become a command", "SUBS", "more"),
  sample("a greeting", "hello\n", "mismatch"),
  sample("a greeting to everybody", "hello world\n", "mismatch"),
  sample("prose that begins with a command", "get me a coffee\n", "mismatch"),
  sample("a command nobody opens a connection with", "BGREWRITEAOF\r\n", "mismatch"),
  sample("a short HTTP request", "GET /\n", "mismatch"),
  sample("an HTTP request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "mismatch"),
  sample("an HTTP request with an unknown method", "DEL http://a/b HTTP/1.1\r\n", "mismatch"),
  sample("a line without end", `SET a ${"b".repeat(2_000)}`, "mismatch"),
  sample("a line with control characters", "SET a \x01\n", "mismatch"),
  sample("an empty line", "\r\n", "mismatch"),
];
snifferLaws(redis(), samples);
promptLaw(redis(), samples);

describe("redis() never tells an argument", () => {
  test.each([array("AUTH", "me", "secret"), "AUTH me secret\r\n", "HELLO 3 AUTH me secret\r\n"])("of %j", (text) => {
    const verdict = redis().sniff(Buffer.from(text));
    expect(verdict.kind).toBe("match");
    expect(JSON.stringify(verdict)).not.toContain("secret");
  });
});
