import fc from "fast-check";
import library, { type Packet } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { encodeConnect } from "../../../src/codecs/mqtt/connect.ts";
import { MAX_PACKET_BYTES, type MqttPacket, mqtt } from "../../../src/codecs/mqtt/mqtt.ts";
import { recorded } from "../../fixtures/mqtt-connect.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { mutated, RUNS } from "../../laws/sniffer-laws.ts";

const userProperties = { region: "eu", tag: ["a", "", "b"] };
const connect: MqttPacket = {
  cmd: "connect",
  version: 5,
  bridge: false,
  clientId: "bot-1",
  clean: true,
  keepaliveMs: 60_000,
  username: "ann",
  password: Buffer.from("s3cret"),
  will: { topic: "gone", payload: Buffer.from("bye"), qos: 1, retain: true, properties: { willDelayInterval: 5 } },
  properties: { sessionExpiryInterval: 60, userProperties },
};
const publish = { cmd: "publish", topic: "a/b", payload: Buffer.from([0, 255]), dup: false, retain: false } as const;

const old: readonly MqttPacket[] = [
  { ...connect, version: 4, will: undefined, properties: undefined },
  { ...connect, version: 3, will: undefined, properties: undefined },
  { cmd: "connack", sessionPresent: true, returnCode: 0 },
  { cmd: "connack", sessionPresent: false, returnCode: 5 },
  { ...publish, qos: 0 },
  { ...publish, qos: 2, dup: true, retain: true, messageId: 65_535, payload: Buffer.alloc(20_000, "x") },
  { ...publish, qos: 1, messageId: 1, topic: "é🎲/$SYS", payload: Buffer.alloc(0) },
  { cmd: "puback", messageId: 7 },
  { cmd: "pubrec", messageId: 7 },
  { cmd: "pubrel", messageId: 7 },
  { cmd: "pubcomp", messageId: 7 },
  {
    cmd: "subscribe",
    messageId: 1,
    subscriptions: [
      { topic: "#", qos: 0 },
      { topic: "a/+/c", qos: 2 },
    ],
  },
  { cmd: "suback", messageId: 1, granted: [0, 1, 2, 128] },
  { cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a", "b/#"] },
  { cmd: "unsuback", messageId: 1 },
  { cmd: "pingreq" },
  { cmd: "pingresp" },
  { cmd: "disconnect" },
];

const acknowledged = { messageId: 7, properties: { reasonString: "because", userProperties } };
const five: readonly MqttPacket[] = [
  connect,
  { cmd: "connack", sessionPresent: false, reasonCode: 0 },
  {
    cmd: "connack",
    sessionPresent: true,
    reasonCode: 0x9c,
    properties: {
      sessionExpiryInterval: 1,
      receiveMaximum: 2,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 3,
      assignedClientIdentifier: "you",
      topicAliasMaximum: 4,
      reasonString: "moved",
      userProperties,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: true,
      serverKeepAlive: 5,
      responseInformation: "r",
      serverReference: "other:1883",
      authenticationMethod: "m",
      authenticationData: Buffer.from("d"),
    },
  },
  { ...publish, qos: 0 },
  {
    ...publish,
    topic: "",
    qos: 1,
    messageId: 9,
    properties: {
      payloadFormatIndicator: true,
      messageExpiryInterval: 6,
      topicAlias: 7,
      responseTopic: "answers",
      correlationData: Buffer.alloc(3),
      subscriptionIdentifier: [1, 268_435_455],
      contentType: "text/plain",
      userProperties,
    },
  },
  { cmd: "puback", messageId: 7, reasonCode: 0 },
  { cmd: "puback", ...acknowledged, reasonCode: 0x97 },
  { cmd: "pubrec", ...acknowledged, reasonCode: 0x10 },
  { cmd: "pubrel", ...acknowledged, reasonCode: 0x92 },
  { cmd: "pubcomp", messageId: 7, reasonCode: 0x92 },
  {
    cmd: "subscribe",
    messageId: 1,
    subscriptions: [{ topic: "$share/g/a", qos: 1, nl: false, rap: true, rh: 2 }],
    properties: { subscriptionIdentifier: 128, userProperties },
  },
  { cmd: "suback", ...acknowledged, granted: [0, 0x9e] },
  { cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a"], properties: { userProperties } },
  { cmd: "unsuback", ...acknowledged, granted: [0, 0x11] },
  { cmd: "pingreq" },
  { cmd: "pingresp" },
  { cmd: "disconnect", reasonCode: 0 },
  {
    cmd: "disconnect",
    reasonCode: 0x9d,
    properties: { sessionExpiryInterval: 1, reasonString: "go", serverReference: "other", userProperties },
  },
  {
    cmd: "auth",
    reasonCode: 0x18,
    properties: {
      authenticationMethod: "m",
      authenticationData: Buffer.from("d"),
      reasonString: "more",
      userProperties,
    },
  },
];

const named = (packets: readonly MqttPacket[]) =>
  packets.map((value, index) => ({ name: `${value.cmd} (${index})`, value }));

describe("MQTT 3.1.1", () => codecLaws(mqtt({ version: 4 }), named(old), Object.values(recorded)));
describe("MQTT 5", () => codecLaws(mqtt({ version: 5 }), named(five), Object.values(recorded)));
describe("before a CONNECT was seen", () => codecLaws(mqtt(), named(old.slice(1, 6))));

test.each([
  [4, old],
  [5, five],
] as const)("packets of version %i that come glued together are read one by one", (version, packets) => {
  const codec = mqtt({ version });
  let rest = Buffer.concat(packets.map((packet) => codec.encode(packet)));
  for (const value of packets) {
    const decoded = codec.decode(rest);
    expect(decoded).toMatchObject({ kind: "frame", value });
    rest = rest.subarray(decoded.kind === "frame" ? decoded.size : 0);
  }
  expect(rest).toHaveLength(0);
});

describe("bugs of mqtt-packet which must not be ours", () => {
  /** What the library alone makes of these bytes. */
  function libraryOn(...chunks: readonly string[]): readonly (Packet | Error)[] {
    const said: (Packet | Error)[] = [];
    const parser = library.parser({ protocolVersion: 5 });
    parser.on("packet", (packet) => said.push(packet));
    parser.on("error", (error) => said.push(error));
    for (const chunk of chunks) parser.parse(Buffer.from(chunk, "hex"));
    return said;
  }

  test.each([
    ["DISCONNECT", "e000", "e0003005000261620078", { cmd: "disconnect", reasonCode: 0 }],
    ["AUTH", "f000", "f0003005000261620078", { cmd: "auth", reasonCode: 0 }],
  ])("a %s without a body is one, whatever follows it", (_name, alone, followed, value) => {
    expect(libraryOn(followed)[0]).toBeInstanceOf(Error); // a test of the library: when it fails, the special case may go
    for (const hex of [alone, followed]) {
      expect(mqtt({ version: 5 }).decode(Buffer.from(hex, "hex"))).toEqual({ kind: "frame", value, size: 2 });
    }
  });

  test("a length of 256 MiB is refused at its header", () => {
    expect(libraryOn("30ffffff7f", "00".repeat(2_000_000))).toEqual([]); // the library waits, and keeps all of it
    const refused = { kind: "malformed", tooLarge: true };
    expect(mqtt().decode(Buffer.from("30ffffff7f", "hex"))).toMatchObject(refused);
    const { length } = mqtt().encode({ ...publish, qos: 0 });
    expect(mqtt({ maxBytes: length }).decode(mqtt().encode({ ...publish, qos: 0 })).kind).toBe("frame");
    expect(
      mqtt({ maxBytes: length - 1 }).decode(
        mqtt()
          .encode({ ...publish, qos: 0 })
          .subarray(0, 2),
      ),
    ).toMatchObject(refused);
    expect(MAX_PACKET_BYTES).toBe(1_048_576);
  });
});

describe("what mqtt-packet lets pass, and the protocol does not", () => {
  test.each([
    ["[MQTT-3.3.2-2] a topic with a wildcard", 4, "3006 0003 612f23 78", "a topic with wildcards"],
    ["[MQTT-4.7.3-1] an empty topic", 4, "3003 0000 78", "an empty topic"],
    ["an empty topic without an alias", 5, "3004 0000 00 78", "an empty topic"],
    ["[MQTT-3.3.2-8] topic alias 0", 5, "3006 0000 03 230000", "topic alias 0"],
    ["[MQTT-1.5.3-1] a topic that is no UTF-8", 4, "3003 0001 ff", "text that is not UTF-8"],
    ["[MQTT-1.5.3-2] a topic with NUL", 4, "3003 0001 00", "text with NUL"],
    ["a topic past the end", 4, "3003 0009 61", "a field past the end"],
    ["[MQTT-2.3.1-1] identifier 0", 4, "3205 0001 61 0000", "packet identifier 0"],
    ["no identifier", 4, "4000", "a field past the end"],
    ["an identifier cut in half", 5, "4001 00", "a field past the end"],
    ["bytes behind an acknowledgement", 4, "4003 0001 00", "bytes after the last field"],
    ["bytes in a PINGREQ", 4, "c001 00", "bytes after the last field"],
    ["bytes in a DISCONNECT of MQTT 3.1.1", 4, "e001 00", "bytes after the last field"],
    ["[MQTT-3.8.3-3] a SUBSCRIBE of nothing", 4, "8202 0001", "a field past the end"],
    ["an empty topic filter", 4, "8205 0001 0000 00", "an empty topic filter"],
    ["a filter without options", 4, "8205 0001 0001 61", "a field past the end"],
    ["an UNSUBSCRIBE of nothing", 5, "a203 0001 00", "a field past the end"],
    ["a SUBACK of nothing", 4, "9002 0001", "a field past the end"],
    ["an UNSUBACK with codes in MQTT 3.1.1", 4, "b003 0001 00", "bytes after the last field"],
    ["a property of another packet", 5, "3007 0001 61 03 130001", "property 19 has no place here"],
    ["a property twice", 5, "3008 0001 61 04 01000101", "property 1 twice"],
    ["a flag of 2", 5, "3006 0001 61 02 0102", "property 1 is neither 0 nor 1"],
    ["properties past their length", 5, "3006 0001 61 01 0101", "properties past their length"],
    ["subscription identifier 0", 5, "8209 0001 02 0b00 0001 61 00", "subscription identifier 0"],
    ["two subscription identifiers in a SUBSCRIBE", 5, "820b 0001 04 0b010b02 0001 61 00", "property 11 twice"],
    ["AUTH before MQTT 5", 4, "f000", "AUTH before MQTT 5"],
  ])("%s", (_name, version, hex, reason) => {
    const decoded = mqtt({ version: version === 5 ? 5 : 4 }).decode(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    expect(decoded).toEqual({ kind: "malformed", reason });
  });

  test.each([
    ["a reserved CONNACK flag", 4, "20020200", /connack flags/],
    ["QoS 3 of a subscription", 4, "820600010001 6103", /QoS/],
    ["a reserved subscription option", 4, "820600010001 6104", /flag bits/],
    ["a code that SUBACK does not have", 4, "9003000103", /suback/],
    ["a reason that PUBACK does not have", 5, "4003000101", /puback reason/],
    ["a reason that DISCONNECT does not have", 5, "e00101", /disconnect reason/],
  ])("%s is told by mqtt-packet itself", (_name, version, hex, reason) => {
    const decoded = mqtt({ version: version === 5 ? 5 : 4 }).decode(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    expect(decoded).toEqual({ kind: "malformed", reason: expect.stringMatching(reason) });
  });
});

describe("the version of a conversation", () => {
  const ping = Buffer.from("3006000161000000", "hex"); // MQTT 5: no properties; before it they are payload
  const topic = (codec: ReturnType<typeof mqtt>) => codec.decode(ping);

  test("is what the client's CONNECT says, for both directions", () => {
    const codec = mqtt();
    const session = {};
    const [up, down] = [codec.begin?.(session) ?? codec, mqtt().begin?.(session) ?? codec];
    expect(topic(down)).toMatchObject({ value: { payload: Buffer.from("000000", "hex") } });
    expect(up.decode(recorded.v5)).toMatchObject({ value: { cmd: "connect", version: 5 } });
    for (const direction of [up, down])
      expect(topic(direction)).toMatchObject({ value: { payload: Buffer.from("0000", "hex") } });
    expect(down.encode({ cmd: "disconnect", reasonCode: 0x8b })).toEqual(Buffer.from("e0028b00", "hex"));
    expect(up.decode(Buffer.from("f000", "hex")).kind).toBe("frame");
  });

  test("is nobody else's", () => {
    const codec = mqtt();
    codec.begin?.({}).decode(recorded.v5);
    expect(topic(codec.begin?.({}) ?? codec)).toMatchObject({ value: { payload: Buffer.from("000000", "hex") } });
    expect(topic(codec)).toMatchObject({ value: { payload: Buffer.from("000000", "hex") } });
  });

  test("is not asked of the client where it is given", () => {
    expect(mqtt({ version: 5 }).begin).toBeUndefined();
  });
});

test("an empty user property is not lost", () => {
  const packet: MqttPacket = { ...publish, qos: 0, properties: { userProperties: { k: ["", "v", ""] } } };
  const codec = mqtt({ version: 5 });
  expect(codec.decode(codec.encode(packet))).toMatchObject({ value: packet });
});

test("values keep still when the bytes are overwritten", () => {
  const codec = mqtt();
  const bytes = codec.encode({ ...publish, qos: 0 });
  const decoded = codec.decode(bytes);
  bytes.fill(0xff);
  expect(decoded).toMatchObject({ value: publish });
});

test.each<readonly [string, MqttPacket]>([
  ["a topic with a wildcard", { ...publish, topic: "a/#", qos: 0 }],
  ["no topic", { ...publish, topic: "", qos: 0 }],
  ["no identifier", { ...publish, qos: 1 }],
  ["identifier 0", { ...publish, qos: 1, messageId: 0 }],
  ["text with NUL", { ...publish, topic: "a\0b", qos: 0 }],
  ["text of 65,536 bytes", { ...publish, topic: "a".repeat(65_536), qos: 0 }],
  ["a SUBSCRIBE of nothing", { cmd: "subscribe", messageId: 1, subscriptions: [] }],
  ["AUTH before MQTT 5", { cmd: "auth", reasonCode: 0 }],
])("%s cannot be written", (_name, packet) => {
  expect(() => mqtt().encode(packet)).toThrow();
});

test.each([
  [4, old],
  [5, five],
] as const)("what was decoded as version %i is written so that it decodes the same", (version, packets) => {
  const codec = mqtt({ version });
  fc.assert(
    fc.property(mutated(packets.slice(1).map((packet) => codec.encode(packet))), (bytes) => {
      const decoded = codec.decode(bytes);
      if (decoded.kind !== "frame" || decoded.value.cmd === "connect") return;
      expect(codec.decode(codec.encode(decoded.value))).toMatchObject({ kind: "frame", value: decoded.value });
    }),
    { numRuns: RUNS },
  );
});

test("a client that trickles costs one look at the header per byte", () => {
  const codec = mqtt();
  const bytes = codec.encode({ ...publish, qos: 0, payload: Buffer.alloc(1_000_000) });
  for (let size = 5; size < bytes.length; size += 97) {
    expect(codec.decode(bytes.subarray(0, size))).toEqual({ kind: "more", atLeast: bytes.length });
  }
  expect(codec.decode(Buffer.concat([encodeConnect({ clientId: "a" }), bytes]))).toMatchObject({
    value: { cmd: "connect" },
  });
});
