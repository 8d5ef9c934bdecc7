import { Packr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { ask, askAll } from "../../src/preread/engine.ts";
import { type MsgpackCondition, msgpack } from "../../src/preread/msgpack.ts";
import { snifferLaws } from "../laws/sniffer-laws.ts";

const packr = new Packr({ useRecords: false });
const pack = (value: unknown): Buffer => packr.pack(value);
const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");

const login = { cmd: "login", user: { name: "ann", level: 7, admin: false }, tags: ["a", "b"], id: 2n ** 60n };
const text = "Hello, this is a line of text\n";

snifferLaws(msgpack(), [
  { name: "a map", bytes: pack(login), verdict: "match", info: { value: login, bytes: pack(login).length } },
  { name: "an array", bytes: pack([1, "a"]), verdict: "match", info: { value: [1, "a"], bytes: 4 } },
  {
    name: "two messages in one piece: the first",
    bytes: Buffer.concat([pack({ a: 1 }), pack({ b: 2 })]),
    verdict: "match",
    info: { value: { a: 1 }, bytes: pack({ a: 1 }).length },
  },
  {
    name: "a map in its shortest form",
    bytes: bytesOf("81 a1 61 01"),
    verdict: "match",
    info: { value: { a: 1 }, bytes: 4 },
  },
  { name: "a map in its longest form", bytes: bytesOf("df 00 00 00 01 a1 61 01"), verdict: "match" },
  { name: "an array of 500 elements", bytes: pack(Array(500).fill("abc")), verdict: "match" },
  { name: "a message without its last byte", bytes: pack(login).subarray(0, -1), verdict: "more" },
  { name: "an empty map, which SSLv2 also begins with", bytes: bytesOf("80 2e 01 00 02"), verdict: "mismatch" },
  { name: "an empty array", bytes: bytesOf("90"), verdict: "mismatch" },
  { name: "an empty map in its longest form", bytes: bytesOf("df 00 00 00 00"), verdict: "mismatch" },
  { name: "a text alone", bytes: pack("login"), verdict: "mismatch" },
  { name: "a number alone", bytes: pack(500), verdict: "mismatch" },
  { name: "a record of msgpackr", bytes: new Packr().pack(login), verdict: "mismatch" },
  { name: "plain text", bytes: Buffer.from(text), verdict: "mismatch" },
  { name: "a TLS ClientHello", bytes: bytesOf("16 03 01 02 00 01 00 01 fc 03 03"), verdict: "mismatch" },
  { name: "an MQTT CONNECT", bytes: bytesOf("10 0e 00 04 4d 51 54 54"), verdict: "mismatch" },
  { name: "arrays 1,000 levels deep", bytes: Buffer.alloc(1_000, 0x91), verdict: "mismatch" },
  { name: "a map of 4,294,967,295 entries", bytes: bytesOf("df ff ff ff ff"), verdict: "mismatch" },
  { name: "a text of 4,294,967,295 bytes", bytes: bytesOf("91 db ff ff ff ff"), verdict: "mismatch" },
]);

snifferLaws(msgpack({ cmd: "login", "user.level": 7 }), [
  { name: "a message that fulfils the conditions", bytes: pack(login), verdict: "match" },
  { name: "one that does not", bytes: pack({ ...login, cmd: "logout" }), verdict: "mismatch" },
  { name: "an array, at its first byte", bytes: bytesOf("92"), verdict: "mismatch" },
]);

describe("conditions", () => {
  test.each<[Readonly<Record<string, MsgpackCondition>>, "match" | "mismatch"]>([
    [{ cmd: "login" }, "match"],
    [{ cmd: "log*" }, "match"],
    [{ cmd: /^log/ }, "match"],
    [{ cmd: (value) => value === "login" }, "match"],
    [{ cmd: "logout" }, "mismatch"],
    [{ "user.name": "a*" }, "match"],
    [{ "user.level": 7 }, "match"],
    [{ "user.level": "7" }, "match"],
    [{ "user.level": 8 }, "mismatch"],
    [{ "user.level": (value) => typeof value === "number" && value > 5 }, "match"],
    [{ "user.admin": false }, "match"],
    [{ "user.admin": true }, "mismatch"],
    [{ "tags.1": "b" }, "match"],
    [{ "tags.2": "*" }, "mismatch"],
    [{ id: 2 ** 60 }, "match"],
    [{ id: String(2n ** 60n) }, "match"],
    [{ cmd: "login", "user.name": "bob" }, "mismatch"],
    [{ nothing: "*" }, "mismatch"],
    [{ nothing: () => true }, "mismatch"],
    [{ user: "*" }, "mismatch"],
    [{ "cmd.length": 5 }, "mismatch"],
    [{ "user.toString": () => true }, "mismatch"],
  ])("%o: %s", (conditions, verdict) => {
    expect(msgpack(conditions).sniff(pack(login)).kind).toBe(verdict);
  });

  test("a number of a path is an element of an array, or such a key of a map", () => {
    const sniffer = msgpack({ "0": "login" });
    expect(sniffer.sniff(pack(["login", {}])).kind).toBe("match");
    expect(sniffer.sniff(pack(["logout"])).kind).toBe("mismatch");
    expect(sniffer.sniff(bytesOf("81 00 a5 6c 6f 67 69 6e")).kind).toBe("match");
  });

  test("a message whose values cannot become text is asked about, and nothing throws", () => {
    const bytes = pack({ cmd: { toString: 1, valueOf: 2 }, list: [[]], nil: null, when: new Date() });
    for (const path of ["cmd", "list", "nil", "when"]) {
      expect(msgpack({ [path]: "*" }).sniff(bytes).kind).toBe("mismatch");
      expect(msgpack({ [path]: /./ }).sniff(bytes).kind).toBe("mismatch");
    }
  });

  test.each<[Readonly<Record<string, MsgpackCondition>>, unknown[]]>([
    [{}, [{ cmd: "login" }, ["x"]]],
    [{ cmd: "log*", "user.level": 7, "user.admin": true }, [{ cmd: "logx", user: { level: 7, admin: true } }]],
    [{ cmd: () => false }, []],
  ])("%o: its examples fulfil them", (conditions, values) => {
    expect(msgpack(conditions).examples.map((example) => packr.unpack(example))).toEqual(values);
  });
});

test("limits are the caller's", () => {
  const deep = pack([[[1]]]);
  expect(msgpack({}, { maxDepth: 2 }).sniff(deep).kind).toBe("mismatch");
  expect(msgpack({}, { maxDepth: 3 }).sniff(deep).kind).toBe("match");
  expect(msgpack({}, { maxItems: 3 }).sniff(deep).kind).toBe("mismatch");
  expect(msgpack({}, { maxBytes: 3 }).sniff(deep).kind).toBe("mismatch");
  expect(msgpack({}, { extensions: [5] }).sniff(bytesOf("91 d4 05 00")).kind).toBe("match");
  expect(msgpack().sniff(bytesOf("91 d4 05 00")).kind).toBe("mismatch");
  expect(() => msgpack({}, { extensions: [0x72] })).toThrow(TypeError);
});

test("once begun with a client, it says of the growing bytes what it says of them at once", () => {
  const sniffer = msgpack({ cmd: "login" });
  for (const bytes of [pack(login), pack({ ...login, cmd: "x" }), pack([1]), bytesOf("82 a1 61 91 c1")]) {
    const begun = sniffer.begin?.();
    for (let size = 0; size <= bytes.length; size++) {
      expect(begun?.(bytes.subarray(0, size))).toEqual(sniffer.sniff(bytes.subarray(0, size)));
    }
  }
});

test("the engine begins with each client anew, and asks only when there is what the message needs", () => {
  const sniffer = msgpack();
  const bytes = pack(Array(2000).fill("abc"));
  let round = askAll([sniffer], bytes.subarray(0, 1));
  expect(askAll([sniffer], pack({ a: 1 })).found).toMatchObject({ info: { value: { a: 1 } } });
  let rounds = 1;
  for (; round.found === undefined; rounds++) round = ask(round, bytes.subarray(0, round.open[0]?.atLeast));
  expect(round.found).toMatchObject({ protocol: "msgpack", info: { bytes: bytes.length } });
  expect(rounds).toBeLessThan(40);
});
