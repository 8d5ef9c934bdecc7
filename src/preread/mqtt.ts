import type { MqttUserProperties } from "../codecs/mqtt/check.ts";
import {
  decodeConnect,
  encodeConnect,
  MAX_CONNECT_BYTES,
  type MqttConnect,
  type MqttVersion,
  scanConnectStart,
} from "../codecs/mqtt/connect.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer } from "./sniffer.ts";

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
}

/** All conditions must be fulfilled; a client without user name never fulfils one on it. */
export interface MqttConditions {
  readonly clientId?: Condition;
  readonly username?: Condition;
  readonly version?: MqttVersion | Condition<number>;
}

const connectOf = perBytes((bytes) => decodeConnect(bytes));

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
  const sniff: Sniffer<"mqtt", MqttInfo>["sniff"] = (head) => {
    const start = scanConnectStart(head, maxBytes);
    if (start.kind === "more") return more(start.atLeast);
    if (start.kind === "malformed" || !versionFits(start.value.version)) return mismatch;
    const connect = maxBytes === MAX_CONNECT_BYTES ? connectOf(head) : decodeConnect(head, maxBytes);
    if (connect.kind === "more") return more(connect.atLeast);
    if (connect.kind === "malformed") return mismatch;
    const info = infoOf(connect.value);
    return clientIdFits(info.clientId) && usernameFits(info.username) ? match(info) : mismatch;
  };
  const examples = examplesOf(conditions).filter((example) => sniff(example).kind === "match");
  return { name: "mqtt", examples, sniff };
}

/** Field by field, so that nothing secret can slip in with a field to come. */
function infoOf({ version, clientId, username, keepaliveMs, clean, will, properties, bridge }: MqttConnect): MqttInfo {
  const userProperties = properties?.userProperties ?? {};
  return { version, clientId, username, keepaliveMs, clean, willTopic: will?.topic, userProperties, bridge };
}

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
