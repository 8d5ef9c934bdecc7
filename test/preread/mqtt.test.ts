import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeConnect, encodeConnect } from "../../src/codecs/mqtt/connect.ts";
import { type MqttConditions, mqtt } from "../../src/preread/mqtt.ts";
import { match, mismatch, type Verdict } from "../../src/preread/sniffer.ts";
import { packet, recorded, text } from "../fixtures/mqtt-connect.ts";
import { mutated, RUNS, snifferLaws } from "../laws/sniffer-laws.ts";

const sensor = { clientId: "sensor-1", clean: true, keepaliveMs: 60_000, bridge: false, willTopic: undefined };
const bridge = { ...sensor, clientId: "br-1", clean: false, username: undefined, userProperties: {} };

snifferLaws(mqtt(), [
  {
    name: "MQTT 3.1",
    bytes: recorded.v31,
    verdict: "match",
    info: { ...sensor, version: 3, username: undefined, userProperties: {} },
  },
  {
    name: "MQTT 3.1.1 with a password",
    bytes: recorded.v311,
    verdict: "match",
    info: { ...sensor, version: 4, username: "ann", userProperties: {} },
  },
  {
    name: "MQTT 5 with a will",
    bytes: recorded.v5,
    verdict: "match",
    info: {
      ...sensor,
      version: 5,
      keepaliveMs: 30_000,
      username: "ann",
      willTopic: "gone",
      userProperties: { region: "eu" },
    },
  },
  {
    name: "a bridge of MQTT 3.1",
    bytes: recorded.bridgeOf31,
    verdict: "match",
    info: { ...bridge, version: 3, bridge: true },
  },
  {
    name: "a bridge of MQTT 3.1.1",
    bytes: recorded.bridgeOf311,
    verdict: "match",
    info: { ...bridge, version: 4, bridge: true },
  },
  { name: "a bridge of MQTT 5", bytes: recorded.bridgeOf5, verdict: "match", info: { ...bridge, version: 5 } },
  {
    name: "a CONNECT with a SUBSCRIBE behind it",
    bytes: Buffer.concat([recorded.v311, Buffer.from("820a000100056161616161", "hex")]),
    verdict: "match",
  },
  { name: "all of a CONNECT but a byte", bytes: recorded.v5.subarray(0, -1), verdict: "more" },
  { name: "a client id of 5,000 bytes", bytes: encodeConnect({ clientId: "x".repeat(5_000) }), verdict: "match" },
  { name: "a PUBLISH", bytes: Buffer.from("300500016161", "hex"), verdict: "mismatch" },
  { name: "a CONNECT with flags in its first byte", bytes: Buffer.from("1110", "hex"), verdict: "mismatch" },
  { name: "a CONNECT over 64 KiB", bytes: Buffer.from("10808004", "hex"), verdict: "mismatch" },
  { name: "a TLS ClientHello", bytes: Buffer.from("160301", "hex"), verdict: "mismatch" },
]);

/** The number of bytes at which a sniffer, given one byte after the other, first had an answer. */
function decidedAt(bytes: Uint8Array, conditions?: MqttConditions): number {
  const sniffer = mqtt(conditions);
  return Array.from(bytes, (_, index) => index + 1).findIndex(
    (size) => sniffer.sniff(bytes.subarray(0, size)).kind !== "more",
  );
}

describe("the answer comes early", () => {
  test.each([
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n"), 1],
    ["another name", Buffer.from("1010000448545450", "hex"), 5],
    ["another level", Buffer.from("101000044d51545406", "hex"), 9],
  ])("for %s", (_name, bytes, size) => {
    expect(decidedAt(bytes) + 1).toBe(size);
  });

  test("for a version that is not wanted, as soon as the level is there", () => {
    expect(decidedAt(recorded.v5, { version: 4 }) + 1).toBe(9);
    expect(decidedAt(recorded.v5, { version: 5 }) + 1).toBe(recorded.v5.length);
  });
});

describe("conditions", () => {
  test.each<[MqttConditions, string]>([
    [{ clientId: "sensor-*" }, "match"],
    [{ clientId: /^sensor-\d$/ }, "match"],
    [{ clientId: (id) => id.length === 8 }, "match"],
    [{ clientId: "bot-*" }, "mismatch"],
    [{ username: "ann" }, "match"],
    [{ username: "bob" }, "mismatch"],
    [{ version: 5 }, "match"],
    [{ version: (version) => version >= 4 }, "match"],
    [{ version: "5" }, "match"],
    [{ version: 4 }, "mismatch"],
    [{ clientId: "sensor-*", username: "a*", version: 5 }, "match"],
    [{ clientId: "sensor-*", username: "b*", version: 5 }, "mismatch"],
  ])("%j: %s", (conditions, verdict) => {
    expect(mqtt(conditions).sniff(recorded.v5).kind).toBe(verdict);
  });

  test("one on the user name is not fulfilled by a client without", () => {
    expect(mqtt({ username: "*" }).sniff(recorded.v31).kind).toBe("mismatch");
  });

  test.each<[MqttConditions, number]>([
    [{}, 3],
    [{ version: 5, clientId: "bot-*", username: "ann" }, 1],
    [{ clientId: () => false }, 0],
  ])("%j has as many examples as it accepts: %i", (conditions, count) => {
    const sniffer = mqtt(conditions);
    expect(sniffer.examples).toHaveLength(count);
    for (const example of sniffer.examples) expect(sniffer.sniff(example).kind).toBe("match");
  });
});

test("the password is nowhere in what is told of the client", () => {
  for (const bytes of [recorded.v311, recorded.v5]) {
    const verdict = mqtt().sniff(bytes);
    expect(verdict.kind).toBe("match");
    const said = JSON.stringify(verdict);
    expect(said).not.toMatch(/s3cret|password/);
    expect(said).not.toContain(JSON.stringify([...Buffer.from("s3cret")]).slice(1, -1));
  }
});

test("the limit is the caller's", () => {
  const bytes = encodeConnect({ clientId: "x".repeat(100) });
  expect(mqtt({}, { maxBytes: 100 }).sniff(bytes).kind).toBe("mismatch");
  expect(mqtt({}, { maxBytes: bytes.length }).sniff(bytes).kind).toBe("match");
});

/** What the codec, which reads the whole packet with mqtt-packet, makes of the same bytes. */
function decoded(bytes: Uint8Array): Verdict {
  const connect = decodeConnect(bytes);
  if (connect.kind === "more") return connect;
  if (connect.kind === "malformed") return mismatch;
  const { password: _password, will, properties, ...said } = connect.value;
  const { userProperties = {}, maximumPacketSize: maxPacketBytes } = properties ?? {};
  return match({ ...said, willTopic: will?.topic, userProperties, maxPacketBytes });
}

const words = ["", "a", "b", "k", "sensor-1", "é🎲", "\ufffd", "\ufeffx", "__proto__"];
const word = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...words).map(text) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }).map((bytes) => [0, bytes.length, ...bytes]) },
);
const pair = fc.tuple(word, word).map(([name, value]) => [0x26, ...name, ...value]);
const list = (...own: readonly (readonly number[])[]): fc.Arbitrary<readonly number[]> =>
  fc
    .tuple(fc.array(pair, { maxLength: 3 }), fc.uniqueArray(fc.constantFrom(...own), { maxLength: 2 }))
    .map(([pairs, others]) => [...others.flat(), ...pairs.flat()])
    .map((bytes) => [bytes.length, ...bytes]);
const properties = list(
  [17, 0, 0, 0, 1],
  [21, ...text("m")],
  [23, 1],
  [25, 0],
  [33, 0, 1],
  [34, 0, 0],
  [39, 0, 0, 0, 9],
);
const willProperties = list([1, 1], [2, 0, 0, 0, 0], [3, ...text("x")], [8, ...text("")], [9, 0, 0], [24, 0, 0, 0, 1]);

/** Packets of every version whose fields follow from their flags; what is in the fields may be wrong. */
const connects = fc
  .record({
    level: fc.constantFrom(3, 4, 5, 0x83, 0x84, 0x85),
    flags: fc.oneof(fc.constantFrom(0, 2, 4, 6, 0x2e, 0x80, 0xc2, 0xf6), fc.integer({ min: 0, max: 255 })),
    fields: fc.tuple(properties, word, willProperties, word, word, word, word),
    size: fc.constantFrom(0, 0, 0, 0, 0, 0, -1, 1),
  })
  .map(({ level, flags, fields, size }) => {
    const [own, clientId, ofWill, topic, payload, username, password] = fields;
    const is5 = (level & 7) === 5;
    const bytes = packet(
      text((level & 7) === 3 ? "MQIsdp" : "MQTT"),
      [level, flags, 1, 2],
      is5 ? own : [],
      clientId,
      flags & 4 ? [...(is5 ? ofWill : []), ...topic, ...payload] : [],
      flags & 0x80 ? username : [],
      flags & 0x40 ? password : [],
    );
    bytes[1] = (bytes[1] ?? 0) + size;
    return bytes;
  });

describe("says of any packet what the codec says of it", () => {
  test.each<[string, fc.Arbitrary<Uint8Array>]>([
    ["of every version", connects],
    ["of every version, with faults in it", mutated(fc.sample(connects, 50))],
    ["of real clients, with faults in it", mutated(Object.values(recorded))],
  ])("%s", (_name, packets) => {
    fc.assert(
      fc.property(packets, (bytes) => {
        expect(mqtt().sniff(bytes)).toEqual(decoded(bytes));
      }),
      { numRuns: RUNS },
    );
  });
});
