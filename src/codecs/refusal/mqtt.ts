import type { Refusal } from "../../errors.ts";
import type { MqttVersion } from "../mqtt/connect.ts";
import { type MqttPacket, mqtt } from "../mqtt/mqtt.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { reasonOf, secondsOf } from "./words.ts";

/** What an answer depends on. */
export interface RefusedMqttClient {
  readonly version: MqttVersion;
  readonly maxPacketBytes?: number | undefined;
}

const UNAVAILABLE = 3;

/** MQTT 3.1.1 table 3.1: version, unavailable, bad user name or password, not authorized. */
const RETURN_CODES: StatusTable<number> = {
  exact: { 401: 4, 408: UNAVAILABLE, 429: UNAVAILABLE, 505: 1 },
  refused: 5,
  failed: UNAVAILABLE,
};

/** MQTT 5 table 3-1. */
const REASON_CODES: StatusTable<number> = {
  exact: {
    400: 0x80, // unspecified error
    401: 0x86, // bad user name or password
    413: 0x95, // packet too large
    429: 0x9f, // connection rate exceeded
    500: 0x80,
    503: 0x89, // server busy
    505: 0x84, // unsupported protocol version
  },
  refused: 0x87, // not authorized
  failed: 0x88, // server unavailable
};
const USE_ANOTHER_SERVER = 0x9c;
const SERVER_MOVED = 0x9d;
const PERMANENT: ReadonlySet<number> = new Set([301, 308]);

const before5 = mqtt({ version: 4 });
const since5 = mqtt({ version: 5 });

/** Refuses a CONNECT: by return code, in MQTT 5 by reason code, reason string and the server to use instead. */
export function refuseMqtt(refusal: Refusal, { version, maxPacketBytes = Infinity }: RefusedMqttClient): Uint8Array {
  const { status, redirect } = refusal;
  if (version < 5) {
    const returnCode = redirect === undefined ? codeOf(RETURN_CODES, status) : UNAVAILABLE;
    return before5.encode({ cmd: "connack", sessionPresent: false, returnCode });
  }
  const answers = variants(refusal).map((properties) => since5.encode(connack(refusal, properties)));
  const shortest = since5.encode(connack(refusal, {}));
  return answers.find(({ length }) => length <= maxPacketBytes) ?? shortest; // [MQTT-3.2.2-19]
}

type Properties = NonNullable<Extract<MqttPacket, { cmd: "connack" }>["properties"]>;

/** All that can be said, then less and less of it, for clients that take small packets only. */
function variants(refusal: Refusal): Properties[] {
  const seconds = secondsOf(refusal);
  const reasonString = `${reasonOf(refusal)}${seconds === undefined ? "" : `; try again in ${seconds} s`}`;
  const where = refusal.redirect === undefined ? {} : { serverReference: refusal.redirect };
  return [{ reasonString, ...where }, where];
}

function connack({ status, redirect }: Refusal, properties: Properties): MqttPacket {
  const elsewhere = PERMANENT.has(status) ? SERVER_MOVED : USE_ANOTHER_SERVER;
  const reasonCode = redirect === undefined ? codeOf(REASON_CODES, status) : elsewhere;
  return { cmd: "connack", sessionPresent: false, reasonCode, properties };
}
