import { tlsOpening } from "../codecs/tls/opening.ts";
import { GatewayError } from "../errors.ts";
import { helloOf } from "../preread/tls.ts";
import type { Connection } from "./connection.ts";
import { waitFor } from "./wait-for.ts";

/** On a port for plain and TLS clients: does this one begin TLS? A silent one does not. */
export async function beginsTls(session: Connection): Promise<boolean> {
  const { patience } = session;
  const { head } = session.client;
  if (await patience.isSilent(head)) return false;
  for (;;) {
    const opening = tlsOpening(head.bytes);
    if (opening.kind !== "more") return opening.kind !== "plain";
    const growth = await head.grow(opening.atLeast, patience.endsAt);
    if (growth !== "enough") return false; // what there is, is judged as plain bytes
  }
}

/**
 * Reads the ClientHello without consuming it: TLS, or the peer behind a passthrough route, gets the same bytes.
 * @throws GatewayError RC_TLS_HELLO, RC_TLS_PLAIN, RC_TLS_HANDSHAKE_TIMEOUT, RC_CLIENT_CLOSED, RC_CLIENT_RESET
 */
export async function readHello(session: Connection, until: number): Promise<void> {
  const { head } = session.client;
  for (;;) {
    const decoded = helloOf(head.bytes);
    if (decoded.kind === "frame") {
      session.hello = decoded.value;
      return;
    }
    if (decoded.kind === "malformed") {
      const isPlain = tlsOpening(head.bytes).kind === "plain";
      throw new GatewayError(isPlain ? "RC_TLS_PLAIN" : "RC_TLS_HELLO", decoded.reason);
    }
    await waitFor(decoded.atLeast, head, until, unfinished);
  }
}

const unfinished = {
  late: () => new GatewayError("RC_TLS_HANDSHAKE_TIMEOUT", "inside the ClientHello"),
  cut: () => new GatewayError("RC_TLS_HELLO", "the connection ended inside it"),
};

/** Keeps on the session what the hello says when a `tls()` route of a plain server matched. */
export function noteHello(session: Connection): void {
  const decoded = helloOf(session.client.head.bytes);
  if (decoded.kind === "frame") session.hello = decoded.value;
}
