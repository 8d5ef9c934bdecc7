import type { Decoded } from "../codecs/codec.ts";
import { msgpackCodec, msgpackDecoder } from "../codecs/msgpack/msgpack.ts";
import type { MsgpackLimits } from "../codecs/msgpack/scanner.ts";
import { refuseMsgpack } from "../codecs/refusal/msgpack.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What a msgpack client said first: the value, and how many bytes of the head it is. */
export interface MsgpackInfo {
  readonly value: unknown;
  readonly bytes: number;
}

/** A test on one value of the message; a text or RegExp is fulfilled by text, numbers and booleans alone. */
export type MsgpackCondition = Condition<unknown> | number | boolean;

/**
 * MessagePack clients whose first message is a map or an array that is not empty, with conditions on values by path:
 * `msgpack({ cmd: "login", "user.region": "eu-*", "0": 7 })`. All of them must be fulfilled.
 * @throws TypeError when `options.extensions` names a type that cannot be allowed
 */
export function msgpack(
  conditions: Readonly<Record<string, MsgpackCondition>> = {},
  options: MsgpackLimits = {},
): Sniffer<"msgpack", MsgpackInfo> {
  const codec = msgpackCodec(options); // also checks the options, at start and not at the first client
  const tests = Object.entries(conditions).map(([path, condition]) => compileTest(path, condition));
  const mapOnly = tests.some(({ path: [first = ""] }) => !/^\d+$/.test(first)); // an array has no such element
  const sniffBy =
    (messageOf: Sniff): Sniff =>
    (head) => {
      const first = head[0];
      if (first === undefined) return more(1);
      if (!isMap(first) && (mapOnly || !isArray(first))) return mismatch;
      const message = messageOf(head);
      if (message.kind !== "match") return message;
      const { value } = message.info;
      return tests.every(({ path, accepts }) => accepts(valueAt(value, path))) ? message : mismatch;
    };
  const sniff = sniffBy(Object.keys(options).length === 0 ? usualMessageOf : (head) => judge(codec.decode(head)));
  const begin = (): Sniff => {
    const decode = msgpackDecoder(options);
    return sniffBy((head) => judge(decode(head)));
  };
  const examples = [exampleMap(conditions), ["x"]].map((value) => usualCodec.encode(value));
  const accepted = examples.filter((example) => sniff(example).kind === "match");
  return { name: "msgpack", examples: accepted, sniff, begin, refuse: refuseMsgpack };
}

type Sniff = Sniffer<"msgpack", MsgpackInfo>["sniff"];

const usualCodec = msgpackCodec();
const usualMessageOf = perBytes((head) => judge(usualCodec.decode(head)));

function judge(decoded: Decoded<unknown>): Verdict<MsgpackInfo> {
  if (decoded.kind === "more") return decoded;
  if (decoded.kind === "malformed" || isEmpty(decoded.value)) return mismatch;
  return match({ value: decoded.value, bytes: decoded.size });
}

const isMap = (first: number): boolean => (first & 0xf0) === 0x80 || first === 0xde || first === 0xdf;
const isArray = (first: number): boolean => (first & 0xf0) === 0x90 || first === 0xdc || first === 0xdd;

/** An empty container is one byte that says nothing: SSLv2 and many other protocols begin with it. */
function isEmpty(value: unknown): boolean {
  return typeof value !== "object" || value === null || Object.keys(value).length === 0;
}

interface Test {
  readonly path: readonly string[];
  readonly accepts: (value: unknown) => boolean;
}

function compileTest(path: string, condition: MsgpackCondition): Test {
  return { path: path.split("."), accepts: acceptor(condition) };
}

function acceptor(condition: MsgpackCondition): (value: unknown) => boolean {
  const accepts = fulfils(condition);
  if (typeof condition === "function") return accepts;
  if (typeof condition === "number") return (value) => accepts(typeof value === "bigint" ? Number(value) : value);
  return (value) => isScalar(value) && accepts(value);
}

/** The text of anything else is the client's to choose: an object may carry a `toString` that is no function. */
function isScalar(value: unknown): boolean {
  const kind = typeof value;
  return kind === "string" || kind === "number" || kind === "bigint" || kind === "boolean";
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return undefined;
    current = Reflect.get(current, key);
  }
  return current;
}

/** A message which fulfils the conditions, where one can be told from them. */
function exampleMap(conditions: Readonly<Record<string, MsgpackCondition>>): object {
  const entries = Object.entries(conditions);
  if (entries.length === 0) return { cmd: "login" };
  const example: Branch = new Map();
  for (const [path, condition] of entries) {
    plant(example, path.split("."), typeof condition === "object" ? "x" : exampleValue(condition));
  }
  return example;
}

function exampleValue(condition: Exclude<MsgpackCondition, RegExp>): string | number | boolean {
  return typeof condition === "number" || typeof condition === "boolean" ? condition : exampleOf(condition, "x");
}

type Branch = Map<string, unknown>;

function plant(branch: Branch, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    branch.set(key, value);
    return;
  }
  const known = branch.get(key);
  const next: Branch = known instanceof Map ? known : new Map();
  branch.set(key, next);
  plant(next, rest, value);
}
