import { closed10, closed091, type RefusedAmqpClient } from "../refusal/amqp.ts";
import type { Goodbye } from "./goodbye.ts";

const CONNECTION_FORCED = 320;
const CONDITION = "amqp:connection:forced";
const TEXTS = { drained: "this server is going away", shutdown: "this server is shutting down" } as const;

/** Connection.close with 320, in 1.0 close with amqp:connection:forced. Undefined for other versions, for TLS, and before the peer has answered. */
export function goodbyeAmqp(
  { why, bytesSent }: Goodbye,
  { version, layer }: RefusedAmqpClient,
): Uint8Array | undefined {
  if (bytesSent === 0) return undefined;
  if (version === "0-9-1") return closed091(CONNECTION_FORCED, TEXTS[why]);
  return version === "1.0" && layer !== "tls" ? closed10(CONDITION, TEXTS[why]) : undefined;
}
