import { expect, test } from "vitest";
import accessList from "../../examples/access-list.ts";
import binaryService from "../../examples/binary-service.ts";
import cors from "../../examples/cors.ts";
import lineService from "../../examples/line-service.ts";
import firewall from "../../examples/mqtt-topic-firewall.ts";
import byField from "../../examples/msgpack-by-field.ts";
import rewrite from "../../examples/msgpack-rewrite.ts";
import upperCase from "../../examples/upper-case-lines.ts";
import type { GatewayConfig } from "../../src/index.ts";
import { echo, end, type Peers, runSession, type Script, send, wait } from "../../src/testing/index.ts";

// What the examples' hooks make of bytes must not depend on how those are cut: told with every cut that there is.

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const connect = hex("10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00");
const publish = (topic: string, id: number): Buffer =>
  Buffer.concat([
    hex("32"),
    Buffer.from([topic.length + 6, 0, topic.length]),
    Buffer.from(topic),
    Buffer.from([0, id]),
    Buffer.from("hi"),
  ]);
const response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const told: readonly [string, GatewayConfig, Uint8Array | string, Peers, Script?][] = [
  ["access-list", accessList, latin1("\x81\xa6player\xa3ann"), { game: echo() }],
  ["access-list, refused", accessList, latin1("\x81\xa6player\xa3eve"), { game: echo() }],
  ["binary-service", binaryService, hex("0008 00000007 41a40000 0008 00000007 41ac0000"), {}],
  [
    "cors",
    cors,
    "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n",
    { "127.0.0.1:7001": [send(response), end()] },
  ],
  ["line-service", lineService, "quit\n", {}],
  [
    "mqtt-topic-firewall",
    firewall,
    Buffer.concat([connect, publish("public/a", 1), publish("admin/b", 2)]),
    { broker: [] },
  ],
  ["msgpack-by-field", byField, latin1("\x81\xa3cmd\xa4join"), { "127.0.0.1:7001": echo(), "127.0.0.1:7002": echo() }],
  ["msgpack-rewrite", rewrite, latin1("\x82\xa3cmd\xa4join\xa5admin\xc3\x92\x01\x02"), { game: echo() }],
  ["upper-case-lines", upperCase, "hello\nworld", { echo: echo() }],
];

test.each(told)("%s", async (_, config, bytes, peers) => {
  const options = { client: [send(bytes), wait(100), end()], peers };
  const [whole, cut] = [await runSession(config, options), await runSession(config, { ...options, oneByOne: true })];
  expect({ ...cut.line, session: "" }).toEqual({ ...whole.line, session: "" });
  expect(cut.toClient).toEqual(whole.toClient);
  expect(cut.connected).toEqual(whole.connected);
  for (const peer of new Set(whole.connected)) expect(cut.toPeer(peer)).toEqual(whole.toPeer(peer));
  expect(
    whole.toClient.length + whole.connected.reduce((sum, peer) => sum + whole.toPeer(peer).length, 0),
  ).toBeGreaterThan(0);
});
