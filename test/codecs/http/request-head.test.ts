import { describe, expect, test } from "vitest";
import { decodeRequestHead, HEAD_LIMITS } from "../../../src/codecs/http/request-head.ts";

const decode = (text: string) => decodeRequestHead(Buffer.from(text, "latin1"));

describe("a request head", () => {
  test("keeps names as sent and values without the white space around them", () => {
    const text = "PROPFIND /a%20b HTTP/1.1\r\nHoSt:  example.com\t \r\nX-Empty:\r\nX-Text: a: b \xe9\r\n\r\nbody";
    const headers = [
      ["HoSt", "example.com"],
      ["X-Empty", ""],
      ["X-Text", "a: b \xe9"],
    ];
    expect(decode(text)).toEqual({
      kind: "frame",
      value: { method: "PROPFIND", target: "/a%20b", version: "1.1", headers },
      size: text.length - "body".length,
    });
  });

  test("of HTTP/0.9 is one line", () => {
    const value = { method: "GET", target: "/", version: "0.9", headers: [] };
    expect(decode("GET /\nHost: a\n\n")).toEqual({ kind: "frame", value, size: 6 });
  });

  test.each([
    ["RFC 9112 §2.2: lines ended by LF alone", "GET / HTTP/1.0\nA: b\n\n"],
    ["a mixture of line ends", "GET / HTTP/1.0\r\nA: b\n\r\n"],
    ["RFC 9112 §3.2.2: an absolute target", "GET http://a/b HTTP/1.1\r\n\r\n"],
    ["RFC 9112 §3.2.3: an authority for CONNECT", "CONNECT [::1]:443 HTTP/1.1\r\n\r\n"],
    ["RFC 9112 §3.2.4: an asterisk for OPTIONS", "OPTIONS * HTTP/1.1\r\n\r\n"],
    ["a minor version to come", "GET / HTTP/1.9\r\n\r\n"],
    ["raw UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n\r\n"],
    ["a method of 24 letters", `${"M".repeat(24)} / HTTP/1.1\r\n\r\n`],
    ["as many header lines as allowed", `GET / HTTP/1.1\r\n${"a:b\r\n".repeat(HEAD_LIMITS.maxHeaders)}\r\n`],
  ])("may have %s", (_, text) => expect(decode(text).kind).toBe("frame"));

  test.each([
    ["RFC 9112 §5.2: a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"],
    ["a first header line that begins with a space", "GET / HTTP/1.1\r\n A: b\r\n\r\n"],
    ["RFC 9112 §5.1: a space before the colon", "GET / HTTP/1.1\r\nA : b\r\n\r\n"],
    ["a header line without colon", "GET / HTTP/1.1\r\nA\r\n\r\n"],
    ["a header without name", "GET / HTTP/1.1\r\n: b\r\n\r\n"],
    ["RFC 9110 §5.5: NUL in a value", "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"],
    ["RFC 9112 §2.2: a bare CR in a value", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"],
    ["two CRs before the LF", "GET / HTTP/1.1\r\nA: b\r\r\n\r\n"],
    ["a CR in the target", "GET /a\rb HTTP/1.1\r\n\r\n"],
    ["NUL in the target", "GET /a\0b HTTP/1.1\r\n\r\n"],
    ["two spaces before the target", "GET  / HTTP/1.1\r\n\r\n"],
    ["two spaces before the version", "GET /  HTTP/1.1\r\n\r\n"],
    ["a space behind the version", "GET / HTTP/1.1 \r\n\r\n"],
    ["an empty line before the request", "\r\nGET / HTTP/1.1\r\n\r\n"],
    ["a version in lower case", "GET / http/1.1\r\n\r\n"],
    ["version 2.0", "PRI * HTTP/2.0\r\n\r\n"],
    ["an asterisk for GET", "GET * HTTP/1.1\r\n\r\n"],
    ["a path for CONNECT", "CONNECT / HTTP/1.1\r\n\r\n"],
    ["an authority for GET", "GET a:80 HTTP/1.1\r\n\r\n"],
    ["a relative target", "GET a/b HTTP/1.1\r\n\r\n"],
    ["a POST without version", "POST /\r\n"],
    ["no method", " / HTTP/1.1\r\n\r\n"],
    ["a method that is no token", "GE(T / HTTP/1.1\r\n\r\n"],
    ["a method of 25 letters", `${"M".repeat(25)} / HTTP/1.1\r\n\r\n`],
    ["one header line too many", `GET / HTTP/1.1\r\n${"a:b\r\n".repeat(HEAD_LIMITS.maxHeaders + 1)}\r\n`],
    ["one byte too many", `GET /${"a".repeat(HEAD_LIMITS.maxBytes - 17)} HTTP/1.1\r\n\r\n`],
  ])("may not have %s", (_, text) => expect(decode(text).kind).toBe("malformed"));

  test("may be as long as the limit, and says so when it is longer", () => {
    const longest = `GET /${"a".repeat(HEAD_LIMITS.maxBytes - 18)} HTTP/1.1\r\n\r\n`;
    expect(longest.length).toBe(HEAD_LIMITS.maxBytes);
    expect(decode(longest).kind).toBe("frame");
    expect(decode(longest.slice(0, -1))).toEqual({ kind: "more", atLeast: HEAD_LIMITS.maxBytes });
    expect(decode("GET /".padEnd(HEAD_LIMITS.maxBytes + 5, "a")).kind).toBe("malformed");
  });

  test.each([
    ["hello world", 0],
    ["hello\n", 6],
    ["PING\r\n", 5],
    ["hello world\n", 12],
    ["USER bob 8 * :Bob\r\n", 9],
    ["GET / RTSP/1.0\r\n", 7],
    ["PRI * HTTP/2.0\r\n", 5],
    ["\x16\x03\x01", 1],
    ["GET /a HTTP/1.1x", 16],
  ])("tells %j to be none as early as that is certain", (text, after) => {
    const sizes = Array.from({ length: text.length }, (_, index) => index + 1);
    const first = sizes.find((size) => decode(text.slice(0, size)).kind === "malformed");
    expect(first ?? 0).toBe(after);
  });

  test("trickled byte by byte up to the limit costs no quadratic time", () => {
    const head = Buffer.from(`GET / HTTP/1.1\r\n${"a:b\r\n".repeat(99)}X: ${"y".repeat(HEAD_LIMITS.maxBytes)}`);
    const begun = process.cpuUsage();
    for (let size = 0; size < HEAD_LIMITS.maxBytes; size++) decodeRequestHead(head.subarray(0, size));
    expect(process.cpuUsage(begun).user).toBeLessThan(3_000_000); // about 0.1 s; per-byte work would be 134 million steps
  });
});
