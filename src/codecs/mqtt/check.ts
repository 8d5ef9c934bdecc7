import { isUtf8 } from "node:buffer";
import { asBuffer } from "../as-buffer.ts";
import { scanVarint } from "./header.ts";

/** Values of user properties by name, in the order they came; a list when a name came more than once. */
export type MqttUserProperties = Readonly<Record<string, string | string[]>>;

/** What a CONNECT says of its client, read without building the rest; `fault` says why it is not one. */
export interface ConnectFields {
  readonly fault: string | undefined;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly keepaliveMs: number;
  readonly clean: boolean;
  readonly willTopic: string | undefined;
  readonly userProperties: MqttUserProperties | undefined;
  readonly willUserProperties: MqttUserProperties | undefined;
}

const flag = {
  reserved: 0x01,
  clean: 0x02,
  will: 0x04,
  willQos: 0x18,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
};

type Kind = "flag" | "two bytes" | "four bytes" | "text" | "binary" | "pair";
type Properties = Readonly<Record<number, Kind>>;

const USER_PROPERTY = 0x26;
const RECEIVE_MAXIMUM = 0x21;
const MAXIMUM_PACKET_SIZE = 0x27;
const AUTHENTICATION_METHOD = 0x15;
const AUTHENTICATION_DATA = 0x16;

const CONNECT_PROPERTIES: Properties = {
  17: "four bytes", // session expiry interval
  [AUTHENTICATION_METHOD]: "text",
  [AUTHENTICATION_DATA]: "binary",
  23: "flag", // request problem information
  25: "flag", // request response information
  [RECEIVE_MAXIMUM]: "two bytes",
  34: "two bytes", // topic alias maximum
  [USER_PROPERTY]: "pair",
  [MAXIMUM_PACKET_SIZE]: "four bytes",
};
const WILL_PROPERTIES: Properties = {
  1: "flag", // payload format
  2: "four bytes", // message expiry interval
  3: "text", // content type
  8: "text", // response topic
  9: "binary", // correlation data
  24: "four bytes", // will delay interval
  [USER_PROPERTY]: "pair",
};

/**
 * Walks a whole CONNECT from its flags on (§3.1.2.3 and after), and checks all of it. mqtt-packet lets pass: text that is no
 * UTF-8 or has NUL, fields that run past their place, bytes after the last one, will QoS 3, a password without a user name
 * before MQTT 5, and properties which are unknown here, come twice or have no valid value; it loses a user property that
 * follows an empty one of the same name.
 */
export function checkConnect(packet: Uint8Array, flagsAt: number, version: number): ConnectFields {
  const fields = new Fields(packet, flagsAt);
  const flags = fields.uint(1);
  const keepaliveMs = fields.uint(2) * 1000;
  const userProperties = version === 5 ? checkProperties(fields, CONNECT_PROPERTIES) : undefined;
  const clientId = fields.text();
  const hasWill = (flags & flag.will) !== 0;
  const willUserProperties = hasWill && version === 5 ? checkProperties(fields, WILL_PROPERTIES) : undefined;
  const willTopic = hasWill ? checkWill(fields) : undefined;
  const username = flags & flag.username ? fields.text() : undefined;
  if (flags & flag.password) fields.skip();
  if (fields.left > 0) fields.fail("bytes after the last field");
  const fault = flagsFault(flags, version) ?? fields.fault;
  const clean = (flags & flag.clean) !== 0;
  return { fault, clientId, username, keepaliveMs, clean, willTopic, userProperties, willUserProperties };
}

function flagsFault(flags: number, version: number): string | undefined {
  if (flags & flag.reserved) return "the reserved connect flag is set"; // [MQTT-3.1.2-3]
  const hasWill = (flags & flag.will) !== 0;
  if (!hasWill && flags & (flag.willQos | flag.willRetain)) return "will flags without a will"; // [MQTT-3.1.2-11], [-13]
  if ((flags & flag.willQos) === flag.willQos) return "will QoS 3"; // [MQTT-3.1.2-12]
  const passwordAlone = (flags & (flag.password | flag.username)) === flag.password;
  return passwordAlone && version < 5 ? "a password without a user name" : undefined; // MQTT 3.1.1 [MQTT-3.1.2-22]
}

function checkWill(fields: Fields): string {
  const topic = fields.text();
  if (topic === "") fields.fail("an empty will topic"); // [MQTT-4.7.3-1]
  fields.skip();
  return topic;
}

/** MQTT 5 §2.2.2: a length, then values each with its identifier; all but the user property at most once. */
function checkProperties(fields: Fields, known: Properties): MqttUserProperties | undefined {
  const end = fields.varint() + fields.at;
  const seen: number[] = [];
  let user: UserProperties | undefined;
  while (fields.at < end && fields.fault === undefined) {
    const id = fields.uint(1); // a variable byte integer too, but none is above 127
    const kind = known[id];
    if (kind === undefined) fields.fail(`property ${id} has no place here`);
    else if (kind === "pair") user = withPair(user, fields.text(), fields.text());
    else if (seen.includes(id)) fields.fail(`property ${id} twice`);
    else {
      checkProperty(fields, id, kind);
      seen.push(id);
    }
  }
  if (fields.at !== end) fields.fail("properties past their length");
  if (seen.includes(AUTHENTICATION_DATA) && !seen.includes(AUTHENTICATION_METHOD))
    fields.fail("authentication without a method");
  return user;
}

function checkProperty(fields: Fields, id: number, kind: Exclude<Kind, "pair">): void {
  switch (kind) {
    case "text":
      fields.text();
      return;
    case "binary":
      fields.skip();
      return;
    case "flag":
      if (fields.uint(1) > 1) fields.fail(`property ${id} is neither 0 nor 1`);
      return;
    case "two bytes":
      if (fields.uint(2) === 0 && id === RECEIVE_MAXIMUM) fields.fail("receive maximum 0");
      return;
    case "four bytes":
      if (fields.uint(4) === 0 && id === MAXIMUM_PACKET_SIZE) fields.fail("maximum packet size 0");
      return;
    default:
      kind satisfies never;
  }
}

type UserProperties = Record<string, string | string[]>;

/** Without a prototype, so that no name of a client's choice means anything to us. */
function withPair(user: UserProperties | undefined, name: string, value: string): UserProperties {
  const byName: UserProperties = user ?? Object.create(null);
  const known = byName[name];
  if (known === undefined) byName[name] = value;
  else if (typeof known === "string") byName[name] = [known, value];
  else known.push(value);
  return byName;
}

/** Reads fields one after the other. The first fault stays, and what is read after it counts for nothing. */
class Fields {
  fault: string | undefined;
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = asBuffer(bytes);
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  fail(fault: string): void {
    this.fault ??= fault;
  }

  uint(width: number): number {
    let value = 0;
    for (let at = this.#take(width); at < this.at; at++) value = value * 256 + (this.#bytes[at] ?? 0);
    return value;
  }

  varint(): number {
    const decoded = scanVarint(this.#bytes, this.at);
    if (decoded.kind === "frame") {
      this.at += decoded.size;
      return decoded.value;
    }
    this.fail(decoded.kind === "more" ? "a field past the end" : decoded.reason);
    return 0;
  }

  /** Goes past binary data, which has its length in front. */
  skip(): void {
    this.#take(this.uint(2));
  }

  text(): string {
    const start = this.#take(this.uint(2));
    const text = this.#bytes.toString("utf8", start, this.at);
    // [MQTT-1.5.4-1], in MQTT 3.1.1 [MQTT-1.5.3-1]; what is no UTF-8 is read as replacement characters, which may also be sent
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(start, this.at))) this.fail("text that is not UTF-8");
    if (text.includes("\0")) this.fail("text with NUL"); // [MQTT-1.5.4-2], [MQTT-1.5.3-2]
    return text;
  }

  /** Where the next `size` bytes begin; they end at `at`. */
  #take(size: number): number {
    const start = this.at;
    this.at = Math.min(start + size, this.#bytes.length);
    if (this.at < start + size) this.fail("a field past the end");
    return start;
  }
}
