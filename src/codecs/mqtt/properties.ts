import type { Fields } from "./fields.ts";

/** Values of user properties by name, in the order they came; a list when a name came more than once. */
export type MqttUserProperties = Readonly<Record<string, string | string[]>>;

/** What a packet's properties say that its reader has to know before mqtt-packet reads them. */
export interface PropertyFacts {
  readonly user: MqttUserProperties | undefined;
  /** Identifiers of all others. */
  readonly seen: readonly number[];
  /** The largest packet that the sender takes; undefined: any. */
  readonly maxPacketBytes: number | undefined;
}

type Kind = "flag" | "two bytes" | "four bytes" | "varint" | "text" | "binary" | "pair";

/** What kinds of values may stand in one kind of packet, by identifier. */
export type PropertyKinds = ReadonlyMap<number, Kind>;

export const TOPIC_ALIAS = 0x23;
const SUBSCRIPTION_ID = 0x0b;
const RECEIVE_MAXIMUM = 0x21;
const MAXIMUM_PACKET_SIZE = 0x27;
const AUTHENTICATION_METHOD = 0x15;
const AUTHENTICATION_DATA = 0x16;
const REASON_STRING = 0x1f;
const USER_PROPERTY = 0x26;

/** MQTT 5 table 2-4. */
const KINDS: PropertyKinds = new Map<number, Kind>([
  [1, "flag"], // payload format
  [2, "four bytes"], // message expiry interval
  [3, "text"], // content type
  [8, "text"], // response topic
  [9, "binary"], // correlation data
  [SUBSCRIPTION_ID, "varint"],
  [17, "four bytes"], // session expiry interval
  [18, "text"], // assigned client id
  [19, "two bytes"], // server keep alive
  [AUTHENTICATION_METHOD, "text"],
  [AUTHENTICATION_DATA, "binary"],
  [23, "flag"], // request problem information
  [24, "four bytes"], // will delay interval
  [25, "flag"], // request response information
  [26, "text"], // response information
  [28, "text"], // server reference
  [REASON_STRING, "text"],
  [RECEIVE_MAXIMUM, "two bytes"],
  [34, "two bytes"], // topic alias maximum
  [TOPIC_ALIAS, "two bytes"],
  [36, "flag"], // maximum QoS
  [37, "flag"], // retain available
  [USER_PROPERTY, "pair"],
  [MAXIMUM_PACKET_SIZE, "four bytes"],
  [40, "flag"], // wildcard subscription available
  [41, "flag"], // subscription identifiers available
  [42, "flag"], // shared subscription available
]);

export const CONNECT_PROPERTIES: PropertyKinds = kindsOf(
  17,
  AUTHENTICATION_METHOD,
  AUTHENTICATION_DATA,
  23,
  25,
  33,
  34,
  39,
);
export const WILL_PROPERTIES: PropertyKinds = kindsOf(1, 2, 3, 8, 9, 24);
export const CONNACK_PROPERTIES: PropertyKinds = kindsOf(
  ...[17, 18, 19, AUTHENTICATION_METHOD, AUTHENTICATION_DATA, 26, 28, REASON_STRING, 33, 34, 36, 37, 39, 40, 41, 42],
);
export const PUBLISH_PROPERTIES: PropertyKinds = kindsOf(1, 2, 3, 8, 9, SUBSCRIPTION_ID, TOPIC_ALIAS);
export const SUBSCRIBE_PROPERTIES: PropertyKinds = kindsOf(SUBSCRIPTION_ID);
export const UNSUBSCRIBE_PROPERTIES: PropertyKinds = kindsOf();
/** Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK. */
export const ACK_PROPERTIES: PropertyKinds = kindsOf(REASON_STRING);
export const DISCONNECT_PROPERTIES: PropertyKinds = kindsOf(17, 28, REASON_STRING);
export const AUTH_PROPERTIES: PropertyKinds = kindsOf(AUTHENTICATION_METHOD, AUTHENTICATION_DATA, REASON_STRING);

/** User properties may stand everywhere. */
function kindsOf(...ids: readonly number[]): PropertyKinds {
  return new Map([...KINDS].filter(([id]) => id === USER_PROPERTY || ids.includes(id)));
}

/**
 * Walks properties and checks them (MQTT 5 §2.2.2): a length, then values each with its identifier; all but the user property
 * at most once, but for the subscription identifiers of a PUBLISH.
 */
export function checkProperties(fields: Fields, known: PropertyKinds): PropertyFacts {
  const end = fields.varint() + fields.at;
  const seen: number[] = [];
  let user: UserProperties | undefined;
  let maxPacketBytes: number | undefined;
  while (fields.at < end && fields.fault === undefined) {
    const id = fields.uint(1); // a variable byte integer too, but none is above 127
    const kind = known.get(id);
    if (kind === undefined) fields.fail(`property ${id} has no place here`);
    else if (kind === "pair") user = withPair(user, fields.text(), fields.text());
    else if (seen.includes(id) && !(id === SUBSCRIPTION_ID && known === PUBLISH_PROPERTIES))
      fields.fail(`property ${id} twice`);
    else {
      const value = checkValue(fields, id, kind);
      if (id === MAXIMUM_PACKET_SIZE) maxPacketBytes = value;
      if (!seen.includes(id)) seen.push(id);
    }
  }
  if (fields.at !== end) fields.fail("properties past their length");
  if (seen.includes(AUTHENTICATION_DATA) && !seen.includes(AUTHENTICATION_METHOD))
    fields.fail("authentication without a method");
  return { user, seen, maxPacketBytes };
}

/** Which numbers must not be 0, and what they are called. */
const NOT_ZERO: ReadonlyMap<number, string> = new Map([
  [RECEIVE_MAXIMUM, "receive maximum"],
  [MAXIMUM_PACKET_SIZE, "maximum packet size"],
  [TOPIC_ALIAS, "topic alias"], // [MQTT-3.3.2-8]
  [SUBSCRIPTION_ID, "subscription identifier"], // §3.8.2.1.2
]);

/** Goes past a value; tells it when it is a number. */
function checkValue(fields: Fields, id: number, kind: Exclude<Kind, "pair">): number {
  if (kind === "text") fields.text();
  else if (kind === "binary") fields.skip();
  else {
    const value = kind === "varint" ? fields.varint() : fields.uint(WIDTHS[kind]);
    if (kind === "flag" && value > 1) fields.fail(`property ${id} is neither 0 nor 1`);
    if (value === 0 && NOT_ZERO.has(id)) fields.fail(`${NOT_ZERO.get(id)} 0`);
    return value;
  }
  return 0;
}

const WIDTHS = { flag: 1, "two bytes": 2, "four bytes": 4 } as const;

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
