import { describe, expect, test } from "vitest";
import { decodeClientHello } from "../../src/codecs/tls/client-hello.ts";
import { encodeClientHello } from "../../src/codecs/tls/client-hello-encode.ts";
import { type TlsConditions, tls } from "../../src/preread/tls.ts";
import { hello, recorded } from "../fixtures/client-hello/recorded.ts";
import { snifferLaws } from "../laws/sniffer-laws.ts";
import { inRecords, messageIn } from "../support/tls-records.ts";

const chromium = hello("chromium-156");
const whole = decodeClientHello(chromium);

snifferLaws(tls(), [
  ...[...recorded].map(([name, bytes]) => ({ name, bytes, verdict: "match" as const })),
  {
    name: "what the browser said",
    bytes: chromium,
    verdict: "match",
    info: whole.kind === "frame" ? whole.value : undefined,
  },
  {
    name: "a hello and early data",
    bytes: Buffer.concat([chromium, Buffer.from("1703030001ff", "hex")]),
    verdict: "match",
  },
  { name: "many small records", bytes: inRecords(messageIn(chromium), [64, 10]), verdict: "match" },
  { name: "nothing", bytes: Buffer.alloc(0), verdict: "more" },
  { name: "the first byte", bytes: Buffer.of(0x16), verdict: "more" },
  { name: "half a hello", bytes: chromium.subarray(0, 1000), verdict: "more" },
  { name: "the first of its records", bytes: hello("node-24-split-records").subarray(0, 517), verdict: "more" },
  { name: "an alert", bytes: Buffer.from("15030100020228", "hex"), verdict: "mismatch" },
  { name: "an SSLv2 hello", bytes: Buffer.from("802e0100020015", "hex"), verdict: "mismatch" },
  { name: "a malformed hello", bytes: encodeClientHello({ serverName: "a b" }), verdict: "mismatch" },
  { name: "a record of another length", bytes: Buffer.from("160301ffff", "hex"), verdict: "mismatch" },
  { name: "HTTP", bytes: Buffer.from("GET / HTTP/1.1\r\n\r\n"), verdict: "mismatch" },
]);

snifferLaws(tls({ serverName: "*.Example", alpn: "h2", version: "TLSv1.3" }), [
  { name: "all conditions hold", bytes: chromium, verdict: "match" },
  { name: "another protocol", bytes: hello("node-24"), verdict: "mismatch" },
  { name: "half a hello of another protocol", bytes: hello("node-24").subarray(0, 900), verdict: "more" },
]);

test("a version that is called otherwise is refused at once: its route would never match", () => {
  expect(() => tls({ version: "1.3" })).toThrow(
    'expected a version (TLSv1.3, TLSv1.2, TLSv1.1, TLSv1, SSLv3), got "1.3"',
  );
  expect(() => tls({ version: "TLSv1.*" })).not.toThrow();
});

describe("conditions", () => {
  test.each<[string, TlsConditions, string, boolean]>([
    ["a name", { serverName: "browser.example" }, "chromium-156", true],
    ["a name in capitals, sent in mixed case", { serverName: "SHOP.a.EXAMPLE" }, "openssl-3.0-alpn", true],
    ["a name by star", { serverName: "shop.*" }, "openssl-3.0-alpn", true],
    ["another name", { serverName: "example" }, "chromium-156", false],
    ["a name by RegExp without case", { serverName: /^Shop\./ }, "openssl-3.0-alpn", true],
    ["a name by function", { serverName: (name) => name.endsWith(".example") }, "curl-7.88", true],
    ["any name, of a client without one", { serverName: "*" }, "openssl-3.0-noservername", false],
    ["a function, of a client without a name", { serverName: () => true }, "openssl-3.0-noservername", false],
    ["the second protocol", { alpn: "http/1.1" }, "chromium-156", true],
    ["protocols by RegExp", { alpn: /^http\// }, "curl-7.88", true],
    ["any protocol, of a client without one", { alpn: "*" }, "node-24-split-records", false],
    ["an old version that is also offered", { version: "TLSv1.2" }, "chromium-156", true],
    ["a version that is not offered", { version: "TLSv1.3" }, "openssl-3.0-tls1_2", false],
    ["a fingerprint", { ja3: "0149f47eabf9a20d0893e2a44e5a6323" }, "curl-7.88", true],
    ["another fingerprint", { ja3: "0149f47eabf9a20d0893e2a44e5a6323" }, "node-20", false],
    ["a fingerprint by star", { ja4: "t13d1517h2_*" }, "chromium-156", true],
    ["a name and a fingerprint that is another's", { serverName: "*", ja4: "t12*" }, "chromium-156", false],
  ])("%s", (_name, conditions, client, isMatch) => {
    expect(tls(conditions).sniff(hello(client)).kind).toBe(isMatch ? "match" : "mismatch");
  });

  test("examples that no hello can be made for are left out", () => {
    expect(tls({ ja3: "0149f47eabf9a20d0893e2a44e5a6323" }).examples).toEqual([]);
    expect(tls({ alpn: "x".repeat(70_000) }).examples).toEqual([]);
    expect(tls({ version: "TLSv9*" }).examples).toEqual([]);
  });
});
