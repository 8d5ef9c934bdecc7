import { goodbyeMqtt } from "../codecs/goodbye/mqtt.ts";
import { type ConnectFields, checkConnect } from "../codecs/mqtt/check.ts";
import { encodeConnect, MAX_CONNECT_BYTES, type MqttVersion, scanConnectStart } from "../codecs/mqtt/connect.ts";
import type { MqttUserProperties } from "../codecs/mqtt/properties.ts";
import { refuseMqtt } from "../codecs/refusal/mqtt.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What a CONNECT says of its client. The password is not in it, nor any other credential. */
export interface MqttInfo {
  /** 3 is MQTT 3.1, 4 is MQTT 3.1.1. */
  readonly version: MqttVersion;
  readonly clientId: string;
  readonly username: string | undefined;
  /** 0 is off. */
  readonly keepaliveMs: number;
  /** Clean session, or clean start in MQTT 5. */
  readonly clean: boolean;
  readonly willTopic: string | undefined;
  /** Of MQTT 5, by name; a list when a name came more than once. */
  readonly userProperties: MqttUserProperties;
  /** The client is another broker. */
  readonly bridge: boolean;
  /** The largest packet that the client takes (MQTT 5 §3.1.2.11.4); undefined: any. */
  readonly maxPacketBytes: number | undefined;
}

const NONE: MqttUserProperties = Object.freeze({});

/** All conditions must be fulfilled; a client without user name never fulfils one on it. */
export interface MqttConditions {
  readonly clientId?: Condition;
  readonly username?: Condition;
  readonly version?: MqttVersion | Condition<number>;
}

export interface MqttOptions {
  /** A larger CONNECT is no match; the preread buffer may be smaller still. */
  readonly maxBytes?: number;
}

/** MQTT 3.1, 3.1.1 and 5: the client speaks first, with a CONNECT ([MQTT-3.1.0-1]). */
export function mqtt(conditions: MqttConditions = {}, options: MqttOptions = {}): Sniffer<"mqtt", MqttInfo> {
  const { maxBytes = MAX_CONNECT_BYTES } = options;
  const versionFits = compileCondition<number>(conditions.version);
  const clientIdFits = compileCondition(conditions.clientId);
  const usernameFits = compileCondition(conditions.username);
  const openingOf = maxBytes === MAX_CONNECT_BYTES ? usualOpeningOf : openingReader(maxBytes);
  const sniff: Sniffer<"mqtt", MqttInfo>["sniff"] = (head) => {
    const { version, verdict } = openingOf(head);
    if (version !== undefined && !versionFits(version)) return mismatch;
    if (verdict.kind !== "match") return verdict;
    return clientIdFits(verdict.info.clientId) && usernameFits(verdict.info.username) ? verdict : mismatch;
  };
  const examples = examplesOf(conditions).filter((example) => sniff(example).kind === "match");
  return { name: "mqtt", examples, sniff, refuse: refuseMqtt, goodbye: goodbyeMqtt };
}

/** A client's first bytes as far as they are there: the version is known before the rest. */
interface Opening {
  readonly version: MqttVersion | undefined;
  readonly verdict: Verdict<MqttInfo>;
}

function openingReader(maxBytes: number): (head: Uint8Array) => Opening {
  return perBytes((head) => {
    const start = scanConnectStart(head, maxBytes);
    if (start.kind === "malformed") return { version: undefined, verdict: mismatch };
    if (start.kind === "more") return { version: undefined, verdict: start };
    const { version, bridge, flagsAt, packetBytes } = start.value;
    if (head.length < packetBytes) return { version, verdict: more(packetBytes) };
    const packet = head.length === packetBytes ? head : head.subarray(0, packetBytes);
    const said = checkConnect(packet, flagsAt, version);
    return { version, verdict: said.fault === undefined ? match(infoOf(said, version, bridge)) : mismatch };
  });
}

/** Field by field, so that nothing secret can slip in with a field to come. */
function infoOf(said: ConnectFields, version: MqttVersion, bridge: boolean): MqttInfo {
  const { clientId, username, keepaliveMs, clean, willTopic, userProperties = NONE, maxPacketBytes } = said;
  return { version, clientId, username, keepaliveMs, clean, willTopic, userProperties, bridge, maxPacketBytes };
}

const usualOpeningOf = openingReader(MAX_CONNECT_BYTES);

function compileCondition<Value>(
  condition: Condition<Value> | number | undefined,
): (value: Value | undefined) => boolean {
  return condition === undefined ? () => true : fulfils(condition);
}

function examplesOf({ clientId, username }: MqttConditions): Uint8Array[] {
  const versions: readonly MqttVersion[] = [4, 5, 3];
  return versions.map((version) =>
    encodeConnect({
      version,
      clientId: exampleOf(clientId, "client") || "client", // MQTT 3.1 has no empty client id
      ...(username !== undefined && { username: exampleOf(username, "user") }),
    }),
  );
}
