import { Fields } from "./fields.ts";
import type { MqttHeader } from "./header.ts";
import {
  ACK_PROPERTIES,
  AUTH_PROPERTIES,
  CONNACK_PROPERTIES,
  checkProperties,
  DISCONNECT_PROPERTIES,
  type MqttUserProperties,
  type PropertyFacts,
  type PropertyKinds,
  PUBLISH_PROPERTIES,
  SUBSCRIBE_PROPERTIES,
  TOPIC_ALIAS,
  UNSUBSCRIBE_PROPERTIES,
} from "./properties.ts";

/** What is known of a packet before mqtt-packet reads it; `fault` says why it is not one. */
export interface PacketFacts {
  readonly fault: string | undefined;
  readonly userProperties: MqttUserProperties | undefined;
}

type Check = (fields: Fields, version: number, flags: number) => PropertyFacts | undefined;

const QOS = 0x06; // of a PUBLISH's flags

/** By packet type; CONNECT has its own. */
const CHECKS: readonly (Check | undefined)[] = [
  undefined,
  undefined,
  connack,
  publish,
  acknowledgement, // PUBACK
  acknowledgement, // PUBREC
  acknowledgement, // PUBREL
  acknowledgement, // PUBCOMP
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  undefined, // PINGREQ
  undefined, // PINGRESP
  (fields, version) => reasoned(fields, version, DISCONNECT_PROPERTIES),
  (fields, version) => reasoned(fields, version, AUTH_PROPERTIES),
];

/**
 * Walks a whole packet other than CONNECT, and checks what mqtt-packet lets pass: fields that run past their place, bytes after
 * the last one, text that is no UTF-8 or has NUL, an identifier 0, no topic, a topic with wildcards, lists without anything in
 * them, and properties that have no place here, come twice or have no valid value. Reason codes and options are its own to judge.
 */
export function checkPacket(packet: Uint8Array, { type, flags, bodyStart }: MqttHeader, version: number): PacketFacts {
  const fields = new Fields(packet, bodyStart);
  const said = CHECKS[type]?.(fields, version, flags);
  if (fields.left > 0) fields.fail("bytes after the last field");
  return { fault: fields.fault, userProperties: said?.user };
}

function properties(fields: Fields, version: number, kinds: PropertyKinds): PropertyFacts | undefined {
  return version === 5 ? checkProperties(fields, kinds) : undefined;
}

/** Servers refuse a version that they do not speak with a CONNACK of MQTT 3.1.1, which has no properties. */
function connack(fields: Fields, version: number): PropertyFacts | undefined {
  fields.uint(2);
  return fields.left > 0 ? properties(fields, version, CONNACK_PROPERTIES) : undefined;
}

function publish(fields: Fields, version: number, flags: number): PropertyFacts | undefined {
  const topic = fields.text();
  if (/[+#]/.test(topic)) fields.fail("a topic with wildcards"); // [MQTT-3.3.2-2]
  if ((flags & QOS) !== 0) fields.packetId();
  const said = properties(fields, version, PUBLISH_PROPERTIES);
  if (topic === "" && !said?.seen.includes(TOPIC_ALIAS)) fields.fail("an empty topic"); // [MQTT-4.7.3-1]
  fields.skipRest();
  return said;
}

function acknowledgement(fields: Fields, version: number): PropertyFacts | undefined {
  fields.packetId();
  return reasoned(fields, version, ACK_PROPERTIES);
}

/** MQTT 5 lets a reason code of 0 without properties be left out, and the properties alone as well. */
function reasoned(fields: Fields, version: number, kinds: PropertyKinds): PropertyFacts | undefined {
  if (version < 5 || fields.left === 0) return undefined;
  fields.uint(1);
  return fields.left > 0 ? checkProperties(fields, kinds) : undefined;
}

function subscribe(fields: Fields, version: number): PropertyFacts | undefined {
  fields.packetId();
  const said = properties(fields, version, SUBSCRIBE_PROPERTIES);
  filters(fields, 1); // behind each one a byte of options
  return said;
}

function unsubscribe(fields: Fields, version: number): PropertyFacts | undefined {
  fields.packetId();
  const said = properties(fields, version, UNSUBSCRIBE_PROPERTIES);
  filters(fields, 0);
  return said;
}

function filters(fields: Fields, optionBytes: number): void {
  do {
    if (fields.text() === "") fields.fail("an empty topic filter"); // [MQTT-4.7.3-1], and [MQTT-3.8.3-2] where there is none
    fields.uint(optionBytes);
  } while (fields.left > 0 && fields.fault === undefined);
}

function suback(fields: Fields, version: number): PropertyFacts | undefined {
  fields.packetId();
  const said = properties(fields, version, ACK_PROPERTIES);
  fields.uint(1); // at least one code
  fields.skipRest();
  return said;
}

/** MQTT 3.1.1 has no codes here. */
function unsuback(fields: Fields, version: number): PropertyFacts | undefined {
  if (version === 5) return suback(fields, version);
  fields.packetId();
  return undefined;
}
