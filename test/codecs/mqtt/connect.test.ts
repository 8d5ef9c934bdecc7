import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeConnect,
  encodeConnect,
  type MqttConnect,
  mqttConnect,
  scanConnectStart,
} from "../../../src/codecs/mqtt/connect.ts";
import { packet, recorded, text } from "../../fixtures/mqtt-connect.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { mutated, RUNS } from "../../laws/sniffer-laws.ts";

const plain: MqttConnect = {
  version: 4,
  bridge: false,
  clientId: "bot-1",
  clean: true,
  keepaliveMs: 60_000,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: undefined,
};
const will = {
  topic: "gone/bot",
  payload: Buffer.from([0, 255]),
  qos: 2,
  retain: true,
  properties: undefined,
} as const;
const properties = {
  sessionExpiryInterval: 60,
  receiveMaximum: 20,
  maximumPacketSize: 100_000,
  topicAliasMaximum: 3,
  requestResponseInformation: true,
  requestProblemInformation: false,
  userProperties: { region: "eu", tag: ["a", "", "b"], "": "" },
  authenticationMethod: "SCRAM",
  authenticationData: Buffer.from("data"),
};

codecLaws(
  mqttConnect(),
  [
    { name: "MQTT 3.1.1, the shortest", value: { ...plain, clientId: "" } },
    { name: "MQTT 3.1", value: { ...plain, version: 3, clean: false } },
    { name: "MQTT 5", value: { ...plain, version: 5, keepaliveMs: 0 } },
    {
      name: "every field of MQTT 3.1",
      value: { ...plain, version: 3, username: "ann", password: Buffer.from("s"), will },
    },
    { name: "every field of MQTT 3.1.1", value: { ...plain, username: "é🎲", password: Buffer.alloc(0), will } },
    {
      name: "every field of MQTT 5",
      value: {
        ...plain,
        version: 5,
        keepaliveMs: 65_535_000,
        username: "",
        password: Buffer.alloc(300, 0),
        will: {
          ...will,
          properties: { willDelayInterval: 5, contentType: "x", userProperties: { k: ["", "v"] } },
        },
        properties,
      },
    },
    { name: "a password alone", value: { ...plain, version: 5, password: Buffer.from("token") } },
    { name: "a bridge of MQTT 3.1", value: { ...plain, version: 3, bridge: true } },
    { name: "a bridge of MQTT 3.1.1", value: { ...plain, bridge: true } },
    { name: "a bridge of MQTT 5", value: { ...plain, version: 5, bridge: true, properties } },
    { name: "a long client id", value: { ...plain, clientId: "x".repeat(60_000) } },
  ],
  Object.values(recorded),
);

describe("packets of real clients", () => {
  test.each([
    ["v31", { version: 3, bridge: false, clientId: "sensor-1", clean: true, keepaliveMs: 60_000 }],
    ["v311", { version: 4, clientId: "sensor-1", username: "ann", password: Buffer.from("s3cret") }],
    [
      "v5",
      {
        version: 5,
        keepaliveMs: 30_000,
        will: { topic: "gone", payload: Buffer.from("bye"), qos: 1, properties: { contentType: "text/plain" } },
        properties: { sessionExpiryInterval: 60, receiveMaximum: 20, userProperties: { region: "eu" } },
      },
    ],
    ["bridgeOf31", { version: 3, bridge: true, clean: false, clientId: "br-1" }],
    ["bridgeOf311", { version: 4, bridge: true, clean: false, clientId: "br-1" }],
    ["bridgeOf5", { version: 5, bridge: false, clean: false, clientId: "br-1" }],
  ] as const)("%s", (name, expected) => {
    const bytes = recorded[name];
    expect(decodeConnect(bytes)).toMatchObject({ kind: "frame", value: expected, size: bytes.length });
  });
});

const head = (level: number, flags: number, name = "MQTT") => [...text(name), level, flags, 0, 10];

describe("what mqtt-packet lets pass, and the protocol does not", () => {
  test.each([
    ["[MQTT-3.1.2-3] the reserved flag", packet(head(4, 0x03), text("a")), "the reserved connect flag is set"],
    ["[MQTT-3.1.2-11] will QoS without a will", packet(head(4, 0x0a), text("a")), "will flags without a will"],
    ["[MQTT-3.1.2-13] will retain without a will", packet(head(4, 0x22), text("a")), "will flags without a will"],
    ["[MQTT-3.1.2-12] will QoS 3", packet(head(4, 0x1e), text("a"), text("t"), text("p")), "will QoS 3"],
    [
      "[MQTT-4.7.3-1] an empty will topic",
      packet(head(4, 0x06), text("a"), text(""), text("p")),
      "an empty will topic",
    ],
    ["[MQTT-3.1.2-22] a password alone", packet(head(4, 0x42), text("a"), text("p")), "a password without a user name"],
    [
      "a password alone in MQTT 3.1",
      packet(head(3, 0x42, "MQIsdp"), text("a"), text("p")),
      "a password without a user name",
    ],
    ["[MQTT-1.5.3-1] no UTF-8", packet(head(4, 2), [0, 1, 0xff]), "text that is not UTF-8"],
    ["[MQTT-1.5.3-1] a surrogate", packet(head(4, 2), [0, 3, 0xed, 0xa0, 0x80]), "text that is not UTF-8"],
    ["[MQTT-1.5.3-2] NUL", packet(head(4, 2), text("a\0b")), "text with NUL"],
    ["NUL in a user name", packet(head(4, 0x82), text("a"), text("\0")), "text with NUL"],
    ["bytes after the last field", packet(head(4, 2), text("a"), [1]), "bytes after the last field"],
    ["a client id past the end", packet(head(4, 2), [0, 9, 0x61, 0x61]), "a field past the end"],
    ["no user name where one is announced", packet(head(4, 0x82), text("a")), "a field past the end"],
    ["properties past the end", packet(head(5, 2), [40], text("a")), "property 0 has no place here"],
    [
      "properties past their length",
      packet(head(5, 2), [3, 0x26], text("k"), text("v"), text("a")),
      "properties past their length",
    ],
    ["properties of a length cut off", packet(head(5, 2), [0x80, 0x80, 0x80]), "a field past the end"],
    [
      "properties of a length of five bytes",
      packet(head(5, 2), [0x80, 0x80, 0x80, 0x80, 1], text("a")),
      "a length of more than four bytes",
    ],
    ["properties of a length too long", packet(head(5, 2), [0x80, 0], text("a")), "a length not in its shortest form"],
    ["a property of PUBLISH", packet(head(5, 2), [3, 0x23, 0, 1], text("a")), "property 35 has no place here"],
    ["a property twice", packet(head(5, 2), [6, 0x21, 0, 1, 0x21, 0, 1], text("a")), "property 33 twice"],
    ["a flag of 2", packet(head(5, 2), [2, 0x17, 2], text("a")), "property 23 is neither 0 nor 1"],
    ["receive maximum 0", packet(head(5, 2), [3, 0x21, 0, 0], text("a")), "receive maximum 0"],
    ["maximum packet size 0", packet(head(5, 2), [5, 0x27, 0, 0, 0, 0], text("a")), "maximum packet size 0"],
    [
      "[MQTT-1.5.4-2] NUL in a property",
      packet(head(5, 2), [7, 0x26], text("\0"), text("v"), text("a")),
      "text with NUL",
    ],
    ["data without a method", packet(head(5, 2), [4, 0x16, 0, 1, 7], text("a")), "authentication without a method"],
    [
      "a property of CONNECT in a will",
      packet(head(5, 6), [0], text("a"), [3, 0x21, 0, 1], text("t"), text("")),
      "property 33 has no place here",
    ],
  ])("%s", (_name, bytes, reason) => {
    expect(decodeConnect(bytes)).toEqual({ kind: "malformed", reason });
  });

  test("user properties after an empty one of the same name are kept, and none touches a prototype", () => {
    const pairs = [
      ["k", ""],
      ["k", "1"],
      ["__proto__", "x"],
      ["k", "2"],
    ].flatMap(([name = "", value = ""]) => [0x26, ...text(name), ...text(value)]);
    const decoded = decodeConnect(packet(head(5, 2), [pairs.length], pairs, text("a")));
    const user = decoded.kind === "frame" ? decoded.value.properties?.userProperties : undefined;
    expect(Object.entries(user ?? {})).toEqual([
      ["k", ["", "1", "2"]],
      ["__proto__", "x"],
    ]);
  });
});

describe("the start of a CONNECT", () => {
  test.each([
    ["a PUBLISH", "30", "not a CONNECT"],
    ["flags that are not zero", "11", "not a CONNECT"],
    ["a length below that of any CONNECT", "100b", "too short for a CONNECT"],
    ["a length above the limit", "10ffff7f", "a packet of 2097155 bytes, more than 65536"],
    ["a fifth byte of length", "10ffffffff", "a length of more than four bytes"],
    ["the second byte of a name", "10100005", "another protocol name"],
    ["the last letter of a name", "101000044d515455", "another protocol name"],
    ["the name of 3.1, in other letters", "101000064d51497373", "another protocol name"],
    ["level 3 of MQTT", "101000044d51545403", "protocol level 3"],
    ["level 4 of MQIsdp", "101000064d514973647004", "protocol level 4"],
    ["level 6", "101000044d51545406", "protocol level 6"],
    ["a bridge of level 0", "101000044d51545480", "protocol level 128"],
  ])("is refused at %s", (_name, hex, reason) => {
    const bytes = Buffer.from(hex, "hex");
    expect(scanConnectStart(bytes)).toMatchObject({ kind: "malformed", reason });
    expect(scanConnectStart(bytes.subarray(0, -1)).kind).toBe("more");
  });

  test("tells the version before the rest is there", () => {
    expect(scanConnectStart(recorded.bridgeOf311.subarray(0, 9))).toMatchObject({
      kind: "frame",
      value: { version: 4, bridge: true, packetBytes: 18 },
    });
  });
});

test("a CONNECT is never larger than the limit", () => {
  const bytes = encodeConnect({ clientId: "x".repeat(100) });
  expect(decodeConnect(bytes, bytes.length).kind).toBe("frame");
  expect(decodeConnect(bytes.subarray(0, 2), bytes.length - 1).kind).toBe("malformed");
});

test("values keep still when the bytes are overwritten", () => {
  const bytes = Buffer.from(recorded.v5);
  const decoded = decodeConnect(bytes);
  bytes.fill(0xff);
  expect(decoded).toEqual(decodeConnect(recorded.v5));
});

test("what was decoded is written so that it decodes the same", () => {
  fc.assert(
    fc.property(mutated(Object.values(recorded)), (bytes) => {
      const decoded = decodeConnect(bytes);
      if (decoded.kind !== "frame" || decoded.value.clientId === "") return; // mqtt-packet writes not every empty one
      const { value } = decoded;
      expect(decodeConnect(encodeConnect(value))).toMatchObject({ kind: "frame", value });
    }),
    { numRuns: RUNS },
  );
});

test.each([
  ["half a second of keepalive", { clientId: "a", keepaliveMs: 500 }],
  ["no client id for a kept session", { clientId: "", clean: false }],
  ["a password of 65,536 bytes", { clientId: "a", password: Buffer.alloc(65_536) }],
  ["a client id of 65,536 bytes", { clientId: "a".repeat(65_536) }],
])("%s cannot be written", (_name, connect) => {
  expect(() => encodeConnect(connect)).toThrow();
});
