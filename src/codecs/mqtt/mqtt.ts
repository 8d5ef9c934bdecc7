import library, {
  type IConnectPacket,
  type IPubackPacket,
  type IPubcompPacket,
  type IPubrecPacket,
  type IPubrelPacket,
  type ISubackPacket,
  type IUnsubackPacket,
  type Packet,
} from "mqtt-packet";
import { messageOf } from "../../errors.ts";
import { type Codec, type Decoded, frame, malformed, needs } from "../codec.ts";
import { checkPacket } from "./check-packet.ts";
import { decodeConnect, encodeConnect, type MqttConnect, type MqttVersion } from "./connect.ts";
import { encodeHeader, type MqttHeader, scanHeader } from "./header.ts";
import { packetParser } from "./parser.ts";
import type { MqttUserProperties } from "./properties.ts";

/** A CONNECT among the other packets. It carries credentials: show fields of it, never the whole. */
export interface MqttConnectPacket extends MqttConnect {
  readonly cmd: "connect";
}

/**
 * A packet of MQTT 3.1.1 or 5 by the names of mqtt-packet: `cmd` tells which one (`"publish"`, `"subscribe"`, …), then `topic`,
 * `payload`, `qos`, `messageId`, `subscriptions`, `properties`, …. Only CONNECT has names of its own, those of `mqtt()` in routes.
 */
export type MqttPacket =
  | MqttConnectPacket
  | MqttAnswer<ISubackPacket>
  | MqttAnswer<IUnsubackPacket>
  | Exclude<Packet, IConnectPacket | ISubackPacket | IUnsubackPacket>;

/** SUBACK and UNSUBACK with their codes, one for each topic filter; UNSUBACK has none before MQTT 5. */
export type MqttAnswer<Known extends ISubackPacket | IUnsubackPacket> = Omit<Known, "granted"> & {
  readonly granted?: readonly number[];
};

/** How `mqtt()` reads. */
export interface MqttCodecOptions {
  /** 3 and 4 are MQTT 3.1 and 3.1.1. Default: what the client's CONNECT says, and 4 as long as none was seen. */
  readonly version?: MqttVersion;
  /** A larger packet is malformed as soon as its length is known. Default 1 MiB. */
  readonly maxBytes?: number;
}

/** What EMQX takes by default; the protocol itself goes up to 256 MiB, which mqtt-packet would collect without asking. */
export const MAX_PACKET_BYTES = 1_048_576;

const CONNECT = 1;
const DISCONNECT = 14;
const AUTH = 15;

/**
 * All packets of MQTT 3.1.1 and 5, one at a time; of MQTT 3.1, whose retries have flags of their own, CONNECT and what it shares
 * with 3.1.1. Packets are checked whole before they are told: what is told is what everybody else reads in the same bytes.
 *
 * Nothing but CONNECT says its version. Give it as `version`; or use one codec per direction, each made by `begin` with the same
 * conversation (filters do): the client's CONNECT then tells both.
 *
 * `encode` throws TypeError for a packet that the protocol does not have.
 */
export function mqtt(options: MqttCodecOptions = {}): Codec<MqttPacket> {
  const { version, maxBytes = MAX_PACKET_BYTES } = options;
  const codec = codecOf(() => version ?? 4, maxBytes);
  return version === undefined ? { ...codec, begin: (conversation) => learning(conversation, maxBytes) } : codec;
}

/** What the clients of live conversations said to speak. It goes with the conversation. */
const versions: WeakMap<object, MqttVersion> = new WeakMap();

function learning(conversation: object, maxBytes: number): Codec<MqttPacket> {
  const codec = codecOf(() => versions.get(conversation) ?? 4, maxBytes);
  return {
    ...codec,
    decode: (bytes) => {
      const decoded = codec.decode(bytes);
      if (decoded.kind === "frame" && decoded.value.cmd === "connect")
        versions.set(conversation, decoded.value.version);
      return decoded;
    },
  };
}

function codecOf(version: () => MqttVersion, maxBytes: number): Codec<MqttPacket> {
  return {
    name: "mqtt",
    decode: (bytes) => decodePacket(bytes, version(), maxBytes),
    encode: (packet) => encodePacket(packet, version()),
  };
}

function decodePacket(bytes: Uint8Array, version: MqttVersion, maxBytes: number): Decoded<MqttPacket> {
  const header = scanHeader(bytes, maxBytes);
  if (header.kind !== "frame") return header;
  const { type, packetBytes } = header.value;
  if (type === CONNECT) return connectPacket(bytes, maxBytes);
  if (type === AUTH && version < 5) return malformed("AUTH before MQTT 5");
  if (bytes.length < packetBytes) return needs(packetBytes);
  const packet = Buffer.from(bytes.subarray(0, packetBytes)); // a copy: values must not change with the reader's buffer
  const { fault, userProperties } = checkPacket(packet, header.value, version);
  if (fault !== undefined) return malformed(fault);
  const parsed = withoutBody(header.value, version) ?? (version === 5 ? parse5 : parse4)(packet);
  if (typeof parsed === "string") return malformed(parsed);
  if (parsed.cmd === "connect") return malformed("a CONNECT"); // never seen: the header says that it is none
  return frame(bare(parsed, userProperties), packetBytes);
}

function connectPacket(bytes: Uint8Array, maxBytes: number): Decoded<MqttPacket> {
  const connect = decodeConnect(bytes, maxBytes);
  return connect.kind === "frame" ? frame({ cmd: "connect", ...connect.value }, connect.size) : connect;
}

/** MQTT 5 §3.14.2.1, §3.15.2.1: without a body the reason code is 0. mqtt-packet takes the code from what follows, or finds none. */
function withoutBody({ type, bodyStart, packetBytes }: MqttHeader, version: number): Packet | undefined {
  if (version < 5 || packetBytes > bodyStart) return undefined;
  if (type === DISCONNECT) return { cmd: "disconnect", reasonCode: 0 };
  return type === AUTH ? { cmd: "auth", reasonCode: 0 } : undefined;
}

const parse4 = packetParser(4);
const parse5 = packetParser(5);

/** mqtt-packet gives every packet the fields of a PUBLISH. */
const OF_PUBLISH = ["topic", "payload", "qos", "dup", "retain"];

/** Without what mqtt-packet adds, and with what it loses: a user property that follows an empty one of the same name. */
function bare(parsed: Exclude<Packet, IConnectPacket>, userProperties: MqttUserProperties | undefined): MqttPacket {
  const plain = { ...parsed };
  delete plain.length;
  if (plain.cmd !== "publish") for (const name of OF_PUBLISH) Reflect.deleteProperty(plain, name);
  if (userProperties && "properties" in plain) Object.assign(plain.properties ?? {}, { userProperties });
  if (plain.cmd === "suback" || plain.cmd === "unsuback") {
    const { granted, ...rest } = plain;
    return granted === undefined ? rest : { ...rest, granted: granted.map(Number) };
  }
  return plain;
}

function encodePacket(packet: MqttPacket, version: MqttVersion): Uint8Array {
  if (packet.cmd === "connect") return encodeConnect(packet);
  const bytes = written(packet, version);
  const read = decodePacket(bytes, version, bytes.length); // mqtt-packet writes identifier 0, topics with wildcards, text with NUL …
  if (read.kind === "malformed") throw new TypeError(`mqtt: ${packet.cmd}: ${read.reason}`);
  return bytes;
}

function written(packet: Exclude<MqttPacket, MqttConnectPacket>, version: MqttVersion): Uint8Array {
  const options = { protocolVersion: version };
  if (version === 5 && isEmpty(packet)) return encodeHeader(packet.cmd === "auth" ? AUTH : DISCONNECT, 0, 0);
  try {
    if (packet.cmd === "suback" || packet.cmd === "unsuback")
      return library.generate({ ...packet, granted: [...(packet.granted ?? [])] }, options);
    return library.generate(isShort(packet) ? { ...packet, reasonCode: 0 } : packet, options);
  } catch (cause) {
    throw new TypeError(`mqtt: ${packet.cmd}: ${messageOf(cause)}`, { cause });
  }
}

/** Can all of the body be left out? mqtt-packet writes it all the same. */
function isEmpty(packet: Exclude<MqttPacket, MqttConnectPacket>): boolean {
  return (packet.cmd === "disconnect" || packet.cmd === "auth") && !packet.reasonCode && !packet.properties;
}

/** Is it an acknowledgement without reason code? mqtt-packet writes the long form of it in MQTT 5. */
function isShort(packet: Packet): packet is IPubackPacket | IPubrecPacket | IPubrelPacket | IPubcompPacket {
  return ["puback", "pubrec", "pubrel", "pubcomp"].includes(packet.cmd) && !("reasonCode" in packet);
}
