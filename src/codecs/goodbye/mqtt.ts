import { mqtt } from "../mqtt/mqtt.ts";
import type { RefusedMqttClient } from "../refusal/mqtt.ts";
import type { Goodbye } from "./goodbye.ts";

/** MQTT 5 table 3-10. */
const REASON_CODES = {
  drained: 0x9c, // use another server
  shutdown: 0x8b, // server shutting down
} as const;

const codec = mqtt({ version: 5 });

/**
 * DISCONNECT with a reason code. Undefined before MQTT 5, in which servers have none; before the CONNACK, which must come first
 * [MQTT-3.14.0-1]; and for a client that takes no packet of that size [MQTT-3.1.2-24].
 */
export function goodbyeMqtt(
  { why, bytesSent }: Goodbye,
  { version, maxPacketBytes = Number.POSITIVE_INFINITY }: RefusedMqttClient,
): Uint8Array | undefined {
  if (version < 5 || bytesSent === 0) return undefined;
  const words = codec.encode({ cmd: "disconnect", reasonCode: REASON_CODES[why] });
  return words.length <= maxPacketBytes ? words : undefined;
}
