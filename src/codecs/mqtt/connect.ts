import mqtt, { type IConnectPacket } from "mqtt-packet";
import { type Codec, type Decoded, frame, malformed, needs } from "../codec.ts";
import { checkConnect } from "./check.ts";
import { encodeHeader, scanHeader } from "./header.ts";
import { packetParser } from "./parser.ts";
import type { MqttUserProperties } from "./properties.ts";

/** 3 is MQTT 3.1, 4 is MQTT 3.1.1. */
export type MqttVersion = 3 | 4 | 5;

/** Properties of MQTT 5 by mqtt-packet's names, each in the protocol's own unit. */
export type MqttConnectProperties = NonNullable<IConnectPacket["properties"]>;
export type MqttWillProperties = NonNullable<NonNullable<IConnectPacket["will"]>["properties"]>;

/** What the broker publishes when the client is gone. */
export interface MqttWill {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: MqttWillProperties | undefined;
}

/** The first packet of an MQTT client. It carries credentials: show fields of it, never the whole. */
export interface MqttConnect {
  readonly version: MqttVersion;
  /** The sender is another broker: the highest bit of the protocol level, as mosquitto's bridges set it. */
  readonly bridge: boolean;
  readonly clientId: string;
  readonly clean: boolean;
  /** Whole seconds on the wire; 0 is off. */
  readonly keepaliveMs: number;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly will: MqttWill | undefined;
  readonly properties: MqttConnectProperties | undefined;
}

/** Who a CONNECT says it speaks as, known before the rest of it is there. */
export interface ConnectStart {
  readonly version: MqttVersion;
  readonly bridge: boolean;
  readonly flagsAt: number;
  readonly packetBytes: number;
}

/** Well above any client id, will and token in use; a will or password may be 65,535 bytes each, few are over a hundred. */
export const MAX_CONNECT_BYTES = 65_536;

const CONNECT = 1;
const FIRST_BYTE = CONNECT << 4; // its flags are 0 (§2.1.3)
const BRIDGE = 0x80; // of the protocol level
const HAS_PASSWORD = 0x40; // of the connect flags
const MIN_BODY = 12; // MQTT 3.1.1: name, level, flags, keepalive and an empty client id

/** Protocol names with their length in front, and the levels that go with each (§3.1.2.1). */
const PROTOCOLS: readonly { readonly name: Uint8Array; readonly versions: readonly MqttVersion[] }[] = [
  { name: Buffer.from("\0\x04MQTT"), versions: [4, 5] },
  { name: Buffer.from("\0\x06MQIsdp"), versions: [3] },
];

/** CONNECT packets of all versions. Decoding keeps the password, as whoever rewrites a CONNECT needs it. */
export function mqttConnect(options: { readonly maxBytes?: number } = {}): Codec<MqttConnect> {
  const { maxBytes = MAX_CONNECT_BYTES } = options;
  return { name: "mqtt-connect", decode: (bytes) => decodeConnect(bytes, maxBytes), encode: encodeConnect };
}

/** Reads a CONNECT as far as its protocol level, and refuses another protocol at its first wrong byte. */
export function scanConnectStart(bytes: Uint8Array, maxBytes: number = MAX_CONNECT_BYTES): Decoded<ConnectStart> {
  if (bytes.length > 0 && bytes[0] !== FIRST_BYTE) return malformed("not a CONNECT");
  const header = scanHeader(bytes, maxBytes);
  if (header.kind !== "frame") return header;
  const { bodyStart, packetBytes } = header.value;
  if (packetBytes - bodyStart < MIN_BODY) return malformed("too short for a CONNECT");
  const protocol = PROTOCOLS.find(({ name }) => name.every((byte, at) => (bytes[bodyStart + at] ?? byte) === byte));
  if (protocol === undefined) return malformed("another protocol name");
  const flagsAt = bodyStart + protocol.name.length + 1;
  const level = bytes[flagsAt - 1];
  if (level === undefined) return needs(bytes.length + 1);
  const version = protocol.versions.find((known) => known === (level & ~BRIDGE));
  if (version === undefined) return malformed(`protocol level ${level}`);
  return frame({ version, bridge: level >= BRIDGE, flagsAt, packetBytes }, flagsAt);
}

/** Reads a whole CONNECT; decides early where its first bytes are wrong. */
export function decodeConnect(bytes: Uint8Array, maxBytes: number = MAX_CONNECT_BYTES): Decoded<MqttConnect> {
  const start = scanConnectStart(bytes, maxBytes);
  if (start.kind !== "frame") return start;
  const { version, bridge, flagsAt, packetBytes } = start.value;
  if (bytes.length < packetBytes) return needs(packetBytes);
  const packet = Buffer.from(bytes.subarray(0, packetBytes)); // a copy: values must not change with the reader's buffer
  const { fault, userProperties, willUserProperties } = checkConnect(packet, flagsAt, version);
  if (fault !== undefined) return malformed(fault);
  const parsed = parse(packet);
  if (typeof parsed === "string") return malformed(parsed);
  if (parsed.cmd !== "connect") return malformed("not a CONNECT"); // never seen: the first byte says that it is one
  const { clientId, clean = false, keepalive = 0, username, password, will } = parsed;
  const connect: MqttConnect = {
    version,
    bridge,
    clientId,
    clean,
    keepaliveMs: keepalive * 1000,
    username,
    password,
    will: will && readWill(will, willUserProperties),
    properties: withUser(parsed.properties, userProperties),
  };
  return frame(connect, packetBytes);
}

const parse = packetParser();

function readWill(will: NonNullable<IConnectPacket["will"]>, user: MqttUserProperties | undefined): MqttWill {
  const { topic, payload, qos = 0, retain = false, properties } = will;
  return { topic, payload: Buffer.from(payload), qos, retain, properties: withUser(properties, user) };
}

function withUser<Properties extends object>(properties: Properties | undefined, user: MqttUserProperties | undefined) {
  return properties && user ? { ...properties, userProperties: user } : properties;
}

/**
 * Writes a CONNECT: for clients in tests, examples and health checks. Version 4, a clean session and a minute of keepalive
 * unless told otherwise.
 * @throws Error when the protocol has no such packet, for instance no client id with `clean: false`
 */
export function encodeConnect(connect: Partial<MqttConnect> & Pick<MqttConnect, "clientId">): Uint8Array {
  const { version = 4, bridge = false, clean = true, keepaliveMs = 60_000, username, will, properties } = connect;
  const packet = mqtt.generate({
    cmd: "connect",
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId: connect.clientId,
    clean,
    keepalive: keepaliveMs / 1000,
    ...(username !== undefined && { username }),
    ...(will !== undefined && { will: writeWill(will) }),
    ...(properties !== undefined && { properties }),
  });
  const start = scanConnectStart(packet, packet.length);
  if (start.kind !== "frame") throw new TypeError("no CONNECT"); // never seen: mqtt-packet throws on what it cannot write
  const { flagsAt } = start.value;
  if (bridge) packet[flagsAt - 1] = version | BRIDGE; // mqtt-packet writes MQTT 3.1 for a bridge of MQTT 5
  return connect.password === undefined ? packet : withPassword(packet, flagsAt, connect.password);
}

function writeWill({ properties, payload, ...will }: MqttWill): NonNullable<IConnectPacket["will"]> {
  return { ...will, payload: Buffer.from(payload), ...(properties !== undefined && { properties }) };
}

/** mqtt-packet writes no password without a user name, which MQTT 5 allows (§3.1.2.9); it is the last field of all. */
function withPassword(packet: Uint8Array, flagsAt: number, password: Uint8Array): Uint8Array {
  packet[flagsAt] = (packet[flagsAt] ?? 0) | HAS_PASSWORD;
  const header = scanHeader(packet, packet.length);
  const body = packet.subarray(header.kind === "frame" ? header.size : 0);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(password.length);
  return Buffer.concat([encodeHeader(CONNECT, 0, body.length + 2 + password.length), body, length, password]);
}
