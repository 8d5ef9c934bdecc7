import { Fields } from "./fields.ts";
import { CONNECT_PROPERTIES, checkProperties, type MqttUserProperties, WILL_PROPERTIES } from "./properties.ts";

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
  /** The largest packet that the client takes; undefined: any. */
  readonly maxPacketBytes: number | undefined;
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
  const said = version === 5 ? checkProperties(fields, CONNECT_PROPERTIES) : undefined;
  const clientId = fields.text();
  const hasWill = (flags & flag.will) !== 0;
  const willSaid = hasWill && version === 5 ? checkProperties(fields, WILL_PROPERTIES) : undefined;
  const willTopic = hasWill ? checkWill(fields) : undefined;
  const username = flags & flag.username ? fields.text() : undefined;
  if (flags & flag.password) fields.skip();
  if (fields.left > 0) fields.fail("bytes after the last field");
  const fault = flagsFault(flags, version) ?? fields.fault;
  return {
    fault,
    clientId,
    username,
    keepaliveMs,
    clean: (flags & flag.clean) !== 0,
    willTopic,
    userProperties: said?.user,
    willUserProperties: willSaid?.user,
    maxPacketBytes: said?.maxPacketBytes,
  };
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
