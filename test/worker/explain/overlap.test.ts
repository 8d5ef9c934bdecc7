import { describe, expect, test } from "vitest";
import { defineGateway, on, otherwise, reject } from "../../../src/index.ts";
import {
  amqp,
  bytes,
  dns,
  http,
  http2,
  lengthPrefixed,
  mismatch,
  mqtt,
  msgpack,
  postgres,
  rdp,
  redis,
  type Sniffer,
  socks,
  ssh,
  tls,
  xmpp,
} from "../../../src/preread/index.ts";
import { overlaps } from "../../../src/worker/explain/overlap.ts";

const no = reject("no");

/** The warnings about routes with these sniffers, in this order. */
function found(sniffers: readonly Sniffer[], ssl?: "auto" | "starttls"): readonly string[] {
  const routes = [...sniffers.map((sniffer) => on(sniffer, no)), otherwise(no)];
  const edge = { listen: "127.0.0.1:0", routes, ...(ssl && { ssl: { mode: ssl, certs: "certs" } }) };
  return overlaps(defineGateway({ servers: { edge } }));
}

describe("nothing is said of", () => {
  test("all protocols side by side, in either order", () => {
    const all = [amqp, dns, http, http2, mqtt, msgpack, postgres, rdp, redis, socks, ssh, tls, xmpp].map((make) =>
      make(),
    );
    expect(found(all)).toEqual([]);
    expect(found(all.toReversed())).toEqual([]);
  });

  test.each<[string, readonly Sniffer[]]>([
    ["mqtt by client id", [mqtt({ clientId: "bot-*" }), mqtt()]],
    ["mqtt by a regular expression", [mqtt({ clientId: /^bot-/ }), mqtt()]],
    ["mqtt by a function that is false for strangers", [mqtt({ clientId: (id) => id === "root" }), mqtt()]],
    ["mqtt by version, then by name", [mqtt({ version: 5 }), mqtt({ username: "ann" }), mqtt()]],
    ["http by host", [http({ host: "a.test" }), http({ host: "b.test" }), http()]],
    ["msgpack by a field", [msgpack({ cmd: "login" }), msgpack({ cmd: "chat" }), msgpack()]],
    ["tls by name", [tls({ serverName: "*.a.test" }), tls({ serverName: "b.test" }), tls()]],
    ["frames by what is in them", [lengthPrefixed({ size: 2, max: 99, inner: msgpack() })]],
    ["two prefixes", [bytes("LOGIN"), bytes("LOGOUT")]],
  ])("the special route before the general one: %s", (_, sniffers) => expect(found(sniffers)).toEqual([]));

  test("tls() beside what is inside of TLS, where both are on one port", () => {
    const binary = lengthPrefixed({ size: 1, max: 200 });
    expect(found([tls(), binary])).toHaveLength(1);
    expect(found([tls(), binary], "starttls")).toHaveLength(1);
    expect(found([tls(), binary], "auto")).toEqual([]);
  });

  test("a sniffer without examples, or one that throws", () => {
    const none: Sniffer = { name: "none", examples: [], sniff: () => mismatch };
    const wild: Sniffer = {
      name: "wild",
      examples: [Buffer.from("x")],
      sniff: () => {
        throw new Error("a condition of the user");
      },
    };
    expect(found([ssh(), none])).toEqual([]);
    expect(found([wild, ssh(), wild])).toEqual([]);
  });
});

describe("a warning with an example is given for", () => {
  test("two protocols that accept the same first bytes", () => {
    expect(found([dns(), lengthPrefixed({ size: 2, max: 65_535 })])).toEqual([
      expect.stringMatching(
        /^servers\.edge: routes\[0\] \(dns\) and routes\[1\] \(lengthPrefixed\) both accept 00 .*"; routes\[0\] \(dns\) is asked first and takes it$/,
      ),
    ]);
  });

  test("a later route whose every example an earlier one takes", () => {
    expect(found([http(), http({ host: "a.test" }), ssh(), ssh()])).toEqual([
      expect.stringMatching(
        /^servers\.edge: routes\[1\] \(http\) may never be reached: routes\[0\] \(http\) .*47 45 54 /,
      ),
      expect.stringMatching(
        /^servers\.edge: routes\[3\] \(ssh\) may never be reached: routes\[2\] \(ssh\) .*53 53 48 2d/,
      ),
    ]);
  });

  test("a prefix that is the beginning of a protocol", () => {
    expect(found([bytes("GET "), http()])).toEqual([expect.stringContaining("routes[1] (http) may never be reached")]);
    expect(found([http(), bytes("GET ")])).toEqual([
      expect.stringMatching(/both accept 47 45 54 20 .*routes\[0\] \(http\) is asked first/),
    ]);
  });
});

test("each server is looked at alone", () => {
  const server = { listen: "127.0.0.1:0", routes: [on(ssh(), no)] };
  expect(overlaps(defineGateway({ servers: { a: server, b: server } }))).toEqual([]);
});
