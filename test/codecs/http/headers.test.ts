import { describe, expect, test } from "vitest";
import { Headers } from "../../../src/codecs/http/headers.ts";
import { ResponseEditor } from "../../../src/codecs/http/response-editor.ts";
import { decodeResponseHead } from "../../../src/codecs/http/response-head.ts";

function editor(text: string): ResponseEditor {
  const bytes = Buffer.from(text, "latin1");
  const decoded = decodeResponseHead(bytes);
  if (decoded.kind !== "frame") throw new Error(decoded.kind);
  return new ResponseEditor(decoded.value, bytes);
}

const encoded = (edited: ResponseEditor): string => Buffer.from(edited.encode()).toString("latin1");

const HEAD = "HTTP/1.1 200 OK\nDate: now\r\nSet-Cookie: a=1, x\r\nVARY:\tA\r\nset-cookie: b=2\r\nX: \xe9\r\n\r\n";

describe("headers", () => {
  const headers = new Headers([
    ["Set-Cookie", "a=1, x"],
    ["VARY", "A"],
    ["set-cookie", "b=2"],
  ]);

  test("are found whatever the case of their name, and joined", () => {
    expect(headers.get("vary")).toBe("A");
    expect(headers.get("SET-COOKIE")).toBe("a=1, x, b=2");
    expect(headers.getAll("Set-Cookie")).toEqual(["a=1, x", "b=2"]);
    expect([headers.has("Vary"), headers.has("Var")]).toEqual([true, false]);
    expect([headers.get("no"), headers.getAll("no")]).toEqual([undefined, []]);
  });

  test("are listed in order, as they are written", () => {
    expect([...headers.entries()].map(([name]) => name)).toEqual(["Set-Cookie", "VARY", "set-cookie"]);
  });
});

describe("an edited head", () => {
  test("is the very bytes that came when nothing was touched, and when nothing was removed", () => {
    const edited = editor(HEAD);
    expect(edited.headers.delete("Absent")).toBe(false);
    edited.status = 200;
    edited.reason = "OK";
    expect(encoded(edited)).toBe(HEAD);
  });

  test("has a set header in the place of the first of its name, and the others are gone", () => {
    const edited = editor(HEAD);
    edited.headers.set("Set-Cookie", "c=3");
    expect(encoded(edited)).toBe("HTTP/1.1 200 OK\nDate: now\r\nSet-Cookie: c=3\r\nVARY:\tA\r\nX: \xe9\r\n\r\n");
  });

  test("has new headers behind all others, in their order", () => {
    const edited = editor(HEAD);
    edited.headers.set("A", "1");
    edited.headers.add("B", "\xff");
    edited.headers.add("a", "2");
    expect(encoded(edited)).toBe(HEAD.replace("\xe9\r\n", "\xe9\r\nA: 1\r\nB: \xff\r\na: 2\r\n"));
  });

  test("may lose all its headers, and get some again", () => {
    const edited = editor("HTTP/1.1 404\r\nA: b\r\n\r\n");
    expect(edited.headers.delete("a")).toBe(true);
    expect(encoded(edited)).toBe("HTTP/1.1 404\r\n\r\n");
    edited.headers.add("A", "");
    edited.status = 410;
    expect(encoded(edited)).toBe("HTTP/1.1 410 \r\nA: \r\n\r\n");
  });

  test.each([
    ["set", "A", "b\r\nC: d"],
    ["add", "A", "b\nC: d"],
    ["add", "A", "\0"],
    ["add", "A", "b\rc"],
    ["add", "A", "\u{1f600}"],
    ["set", "A\r\nB", "c"],
    ["set", "A:", "c"],
    ["set", "", "c"],
    ["set", "\u0100", "c"],
    ["add", "Content-Length", "1"],
    ["set", "TRANSFER-encoding", "chunked"],
  ] as const)("refuses %s(%j, %j), and stays as it was", (method, name, value) => {
    const edited = editor(HEAD);
    expect(() => edited.headers[method](name, value)).toThrow(TypeError);
    expect(() => edited.headers.set(name, value)).toThrow(TypeError);
    expect(encoded(edited)).toBe(HEAD);
  });

  test.each(["content-length", "Transfer-Encoding", "a b"])("refuses delete(%j)", (name) => {
    expect(() => editor(HEAD).headers.delete(name)).toThrow(TypeError);
  });

  test.each([
    [200, 204],
    [200, 304],
    [304, 200],
    [204, 200],
    [200, 199],
    [200, 600],
    [200, 200.5],
    [101, 200],
  ])("with status %i refuses %d", (from, to) => {
    const edited = editor(`HTTP/1.1 ${from} Words\r\n\r\n`);
    expect(() => {
      edited.status = to;
    }).toThrow(TypeError);
    expect(encoded(edited)).toBe(`HTTP/1.1 ${from} Words\r\n\r\n`);
  });

  test.each([
    [200, 503],
    [204, 304],
    [304, 204],
  ])("with status %i may get %i, without the other's words", (from, to) => {
    const edited = editor(`HTTP/1.0 ${from} Words\r\n\r\n`);
    edited.status = to;
    expect(encoded(edited)).toBe(`HTTP/1.0 ${to} \r\n\r\n`);
  });
});
