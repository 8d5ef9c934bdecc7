import { describe, expect, test } from "vitest";
import { type HttpConditions, http } from "../../src/preread/http.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

const ascii = (text: string): Buffer => Buffer.from(text, "latin1");
const infoOf = (text: string, conditions: HttpConditions = {}) => {
  const verdict = http(conditions).sniff(ascii(text));
  return verdict.kind === "match" ? verdict.info : undefined;
};

const samples: readonly Sample[] = [
  {
    name: "a request of curl",
    bytes: ascii("GET /x?y=1 HTTP/1.1\r\nHost: Example.COM:8080\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"),
    verdict: "match",
    info: {
      method: "GET",
      target: "/x?y=1",
      path: "/x",
      version: "1.1",
      host: "example.com",
      headers: { host: "Example.COM:8080", "user-agent": "curl/8", accept: "*/*" },
      upgrade: undefined,
    },
  },
  {
    name: "the short form of HTTP/0.9",
    bytes: ascii("GET /\n"),
    verdict: "match",
    info: { method: "GET", target: "/", path: "/", version: "0.9", host: undefined, headers: {}, upgrade: undefined },
  },
  { name: "the short form with CR LF", bytes: ascii("GET /a\r\nmore"), verdict: "match" },
  { name: "a request without Host", bytes: ascii("GET / HTTP/1.1\r\n\r\n"), verdict: "match" },
  { name: "a WebDAV method", bytes: ascii("PROPFIND /dav/ HTTP/1.1\r\nDepth: 1\r\n\r\n"), verdict: "match" },
  { name: "a method nobody knows", bytes: ascii("x-y! / HTTP/1.0\n\n"), verdict: "match" },
  { name: "a head that is not whole", bytes: ascii("GET / HTTP/1.1\r\nHost: a\r\n"), verdict: "more" },
  { name: "the first letter", bytes: ascii("G"), verdict: "more" },
  { name: "nothing", bytes: ascii(""), verdict: "more" },
  { name: "two hosts", bytes: ascii("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), verdict: "mismatch" },
  { name: "a malformed host", bytes: ascii("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), verdict: "mismatch" },
  { name: "credentials in the target", bytes: ascii("GET http://u:p@a/ HTTP/1.1\r\n\r\n"), verdict: "mismatch" },
  { name: "a target without host", bytes: ascii("GET http:///a HTTP/1.1\r\n\r\n"), verdict: "mismatch" },
  { name: "the HTTP/2 preface", bytes: ascii("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), verdict: "mismatch" },
  { name: "a line of text", bytes: ascii("hello world\n"), verdict: "mismatch" },
  { name: "a Redis command", bytes: ascii("PING\r\n"), verdict: "mismatch" },
  { name: "a Redis key", bytes: ascii("GET key\r\n"), verdict: "mismatch" },
  { name: "SIP", bytes: ascii("INVITE sip:bob@example.com SIP/2.0\r\n"), verdict: "mismatch" },
  { name: "RTSP", bytes: ascii("OPTIONS rtsp://a/b RTSP/1.0\r\n"), verdict: "mismatch" },
];
snifferLaws(http(), samples);
promptLaw(http(), samples);
snifferLaws(http({ method: "GET", path: "/api/*", host: "*.Example.com", headers: { "X-Key": "a*" } }), [
  {
    name: "all conditions",
    bytes: ascii("GET /api/x?y HTTP/1.1\r\nHost: b.EXAMPLE.com\r\nX-KEY: abc\r\n\r\n"),
    verdict: "match",
  },
  {
    name: "another host",
    bytes: ascii("GET /api/x?y HTTP/1.1\r\nHost: example.org\r\nX-KEY: abc\r\n\r\n"),
    verdict: "mismatch",
  },
]);

describe("http conditions", () => {
  const head = "PUT /a/b?c HTTP/1.1\r\nHost: Shop.example.com.:80\r\nAccept: a\r\nAccept: b\r\n\r\n";
  const cases: readonly [string, HttpConditions, boolean][] = [
    ["a method", { method: "PUT" }, true],
    ["another method", { method: "GET" }, false],
    ["the path without query", { path: "/a/b" }, true],
    ["the path with query", { path: "/a/b?c" }, false],
    ["a host without port and final dot", { host: "shop.example.com" }, true],
    ["a host in capitals", { host: /^SHOP\./ }, true],
    ["a function of the host", { host: (host) => host.startsWith("shop") }, true],
    ["the joined values of a repeated header", { headers: { ACCEPT: "a, b" } }, true],
    ["a header that is absent", { headers: { cookie: "*" } }, false],
    ["two of which one fails", { path: "/a/b", host: "other" }, false],
  ];
  test.each(cases)("on %s", (_, conditions, matches) => {
    expect(http(conditions).sniff(ascii(head)).kind).toBe(matches ? "match" : "mismatch");
  });

  test("give an example where one can be told from them, and none where not", () => {
    expect(http({ path: "*.php", method: "POST" }).examples.length).toBeGreaterThan(0);
    expect(http({ headers: { host: "a.example" } }).examples.length).toBeGreaterThan(0);
    expect(http({ method: "CONNECT" }).examples.length).toBeGreaterThan(0);
    expect(http({ path: /^\/[0-9]{5}$/ }).examples).toEqual([]);
  });
});

describe("http info", () => {
  test("RFC 9112 §3.2.2: the host of an absolute target wins over the Host field", () => {
    const info = infoOf("GET http://A.example:81?q HTTP/1.1\r\nHost: b.example\r\n\r\n");
    expect(info).toMatchObject({ host: "a.example", path: "/", target: "http://A.example:81?q" });
  });

  test("of a CONNECT has the target's host and no path", () => {
    const info = infoOf("CONNECT [2001:DB8::1]:443 HTTP/1.1\r\nHost: b\r\n\r\n");
    expect(info).toMatchObject({ host: "2001:db8::1", path: undefined });
  });

  test.each([
    ["Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", "websocket"],
    ["Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n", "h2c"],
    ["Upgrade: websocket\r\n", undefined],
    ["Connection: upgrade\r\n", undefined],
  ])("tells the upgrade of %j", (fields, upgrade) => {
    expect(infoOf(`GET / HTTP/1.1\r\n${fields}\r\n`)?.upgrade).toBe(upgrade);
  });

  test("lets credentials be read by name but never printed", () => {
    const fields =
      "Authorization: Basic c2VjcmV0\r\nCookie: a=secret\r\nCookie: b=c\r\nproxy-authorization: secret\r\n";
    const headers = infoOf(`GET / HTTP/1.1\r\n${fields}X: y\r\n\r\n`, {
      headers: { authorization: "Basic *" },
    })?.headers;
    expect(headers?.["authorization"]).toBe("Basic c2VjcmV0");
    expect(headers?.["cookie"]).toBe("a=secret; b=c");
    expect(JSON.stringify(headers)).toBe('{"x":"y"}');
  });

  test("keeps a header called __proto__ a header", () => {
    const headers = infoOf("GET / HTTP/1.1\r\n__proto__: x\r\n\r\n")?.headers;
    expect(JSON.stringify(headers)).toBe('{"__proto__":"x"}');
  });
});
