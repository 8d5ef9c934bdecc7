import { decodeProxyHeader } from "../codecs/proxy-protocol/decode.ts";
import { GatewayError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Server } from "./server.ts";
import { waitFor } from "./wait-for.ts";

/**
 * Takes the PROXY header off the front of a trusted sender's bytes; from all others the bytes are the client's own.
 * @throws GatewayError RC_PROXY_HEADER, RC_PROXY_HEADER_TIMEOUT, RC_CLIENT_CLOSED, RC_CLIENT_RESET
 */
export async function readProxyHeader(session: Connection, policy: NonNullable<Server["proxyHeader"]>): Promise<void> {
  if (!policy.trusts(session.remote.host)) return;
  session.phase = "proxyHeader";
  const until = session.acceptedAt + policy.timeoutMs;
  const { head } = session.client;
  for (;;) {
    const decoded = decodeProxyHeader(head.bytes, { maxBytes: session.settings.preread.maxBytes });
    if (decoded.kind === "malformed") throw new GatewayError("RC_PROXY_HEADER", decoded.reason);
    if (decoded.kind === "frame") {
      session.client.skip(decoded.size);
      session.cameThrough(decoded.value);
      session.patience.rearm();
      return;
    }
    await waitFor(decoded.atLeast, head, until, {
      late: () => new GatewayError("RC_PROXY_HEADER_TIMEOUT", `after ${head.size} bytes`),
      cut: () => new GatewayError("RC_PROXY_HEADER", "the connection ended inside the header"),
    });
  }
}
