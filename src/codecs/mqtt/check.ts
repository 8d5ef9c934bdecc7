import { isUtf8 } from "node:buffer";
import { scanVarint } from "./header.ts";

/** Values of user properties by name, in the order they came; a list when a name came more than once. */
export type MqttUserProperties = Readonly<Record<string, string | string[]>>;

/** What mqtt-packet does not tell, or tells wrong, of a CONNECT; `fault` says why it is not one. */
export interface CheckedConnect {
  readonly fault: string | undefined;
  readonly userProperties: MqttUserProperties | undefined;
  readonly willUserProperties: MqttUserProperties | undefined;
}

const flag = { reserved: 0x01, will: 0x04, willQos: 0x18, willRetain: 0x20, password: 0x40, username: 0x80 };

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
 * Walks a whole CONNECT from its flags on (§3.1.2.3 and after). mqtt-packet lets pass: text that is no UTF-8 or has NUL,
 * fields that run past their place, bytes after the last one, will QoS 3, a password without a user name before
 * MQTT 5, and properties which are unknown here, come twice or have no valid value; it loses a user property that
 * follows an empty one of the same name.
 */
export function checkConnect(packet: Uint8Array, flagsAt: number, version: number): CheckedConnect {
  const fields = new Fields(packet, flagsAt);
  const flags = fields.uint(1);
  fields.uint(2); // keepalive
  const userProperties = version === 5 ? checkProperties(fields, CONNECT_PROPERTIES) : undefined;
  fields.text(); // client id
  const hasWill = (flags & flag.will) !== 0;
  const willUserProperties = hasWill && version === 5 ? checkProperties(fields, WILL_PROPERTIES) : undefined;
  if (hasWill) checkWill(fields);
  if (flags & flag.username) fields.text();
  if (flags & flag.password) fields.binary();
  if (fields.left > 0) fields.fail("bytes after the last field");
  return { fault: flagsFault(flags, version) ?? fields.fault, userProperties, willUserProperties };
}

function flagsFault(flags: number, version: number): string | undefined {
  if (flags & flag.reserved) return "the reserved connect flag is set"; // [MQTT-3.1.2-3]
  const hasWill = (flags & flag.will) !== 0;
  if (!hasWill && flags & (flag.willQos | flag.willRetain)) return "will flags without a will"; // [MQTT-3.1.2-11], [-13]
  if ((flags & flag.willQos) === flag.willQos) return "will QoS 3"; // [MQTT-3.1.2-12]
  const passwordAlone = (flags & (flag.password | flag.username)) === flag.password;
  return passwordAlone && version < 5 ? "a password without a user name" : undefined; // MQTT 3.1.1 [MQTT-3.1.2-22]
}

function checkWill(fields: Fields): void {
  if (fields.text() === "") fields.fail("an empty will topic"); // [MQTT-4.7.3-1]
  fields.binary();
}

/** MQTT 5 §2.2.2: a length, then values each with its identifier; all but the user property at most once. */
function checkProperties(fields: Fields, known: Properties): MqttUserProperties | undefined {
  const end = fields.varint() + fields.at;
  const seen = new Set<number>();
  const pairs: (readonly [string, string])[] = [];
  while (fields.at < end && fields.fault === undefined) {
    const id = fields.uint(1); // a variable byte integer too, but none is above 127
    const kind = known[id];
    if (kind === undefined) fields.fail(`property ${id} has no place here`);
    else if (kind === "pair") pairs.push([fields.text(), fields.text()]);
    else if (seen.has(id)) fields.fail(`property ${id} twice`);
    else checkProperty(fields, id, kind);
    seen.add(id);
  }
  if (fields.at !== end) fields.fail("properties past their length");
  if (seen.has(AUTHENTICATION_DATA) && !seen.has(AUTHENTICATION_METHOD)) fields.fail("authentication without a method");
  return pairs.length === 0 ? undefined : grouped(pairs);
}

function checkProperty(fields: Fields, id: number, kind: Exclude<Kind, "pair">): void {
  switch (kind) {
    case "text":
      fields.text();
      return;
    case "binary":
      fields.binary();
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

/** Without a prototype, so that no name of a client's choice means anything to us. */
function grouped(pairs: readonly (readonly [string, string])[]): MqttUserProperties {
  const byName: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of pairs) {
    const known = byName[name];
    if (known === undefined) byName[name] = value;
    else if (typeof known === "string") byName[name] = [known, value];
    else known.push(value);
  }
  return byName;
}

/** Reads fields one after the other. The first fault stays, and what is read after it counts for nothing. */
class Fields {
  fault: string | undefined;
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  fail(fault: string): void {
    this.fault ??= fault;
  }

  uint(width: number): number {
    return this.#take(width).reduce((value, byte) => value * 256 + byte, 0);
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

  binary(): Uint8Array {
    return this.#take(this.uint(2));
  }

  text(): string {
    const bytes = this.binary();
    if (!isUtf8(bytes)) this.fail("text that is not UTF-8"); // [MQTT-1.5.4-1], in MQTT 3.1.1 [MQTT-1.5.3-1]
    if (bytes.includes(0)) this.fail("text with NUL"); // [MQTT-1.5.4-2], [MQTT-1.5.3-2]
    return Buffer.from(bytes).toString();
  }

  #take(size: number): Uint8Array {
    const taken = this.#bytes.subarray(this.at, this.at + size);
    if (taken.length < size) this.fail("a field past the end");
    this.at += taken.length;
    return taken;
  }
}
