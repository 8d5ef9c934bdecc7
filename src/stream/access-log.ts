import { fileURLToPath } from "node:url";
import { type GatewayError, specs } from "../errors.ts";
import type { Connection } from "./connection.ts";

/** Where our own code is: of what a hook called and that threw, the hook's place tells more. */
const OWN = fileURLToPath(new URL("..", import.meta.url));

/** The access line of an ended session: nginx's variable names, times in seconds, everything else as it is. */
export function accessLine(session: Connection, error: GatewayError | undefined): string {
  return JSON.stringify({
    time: new Date().toISOString(),
    session: session.id,
    remote_addr: session.remote.host,
    remote_port: session.remote.port,
    server: session.server,
    protocol: session.protocol,
    ssl_protocol: session.ssl?.protocol,
    ssl_server_name: session.ssl?.serverName,
    upstream: session.upstream,
    upstream_addr: session.attempts.length > 0 ? session.attempts.map(({ address }) => address).join(", ") : undefined,
    upstream_connect_time: seconds(session.attempts.at(-1)?.connectMs),
    status: session.status,
    end_cause: session.endCause,
    bytes_received: session.bytesReceived,
    bytes_sent: session.bytesSent,
    session_time: seconds(session.sessionTimeMs),
    ...(error && { code: error.code, phase: session.phase, reason: error.message, at: placeOf(error) }),
  });
}

/** Where the code stands that failed: for what hooks, stores and we did wrong, not for what clients and peers do. */
function placeOf(error: GatewayError): string | undefined {
  if (specs[error.code].side !== "internal" || !(error.cause instanceof Error)) return undefined;
  const places = [...(error.cause.stack ?? "").matchAll(/^ +at (.+)$/gm)].map(([, place = ""]) => place);
  return places.find((place) => !place.includes(OWN) && !place.includes("node:")) ?? places[0];
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms) / 1_000;
}
