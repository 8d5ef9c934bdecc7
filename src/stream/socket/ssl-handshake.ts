import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { Outgoing } from "./outgoing.ts";
import type { SslSettings } from "./ssl-settings.ts";
import { sslVerdict } from "./ssl-verdict.ts";
import { TlsSession } from "./tls-session.ts";

/** How long a handshake may take. */
export interface HandshakeLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Begins TLS on a connection, and judges the peer. Answers why not: `handshake failed`, `timeout`, `aborted`,
 * `certificate host mismatch`, `18: self-signed certificate` and the like; then the connection is of no use any more.
 */
export async function shakeHands(
  connection: Outgoing,
  ssl: SslSettings,
  limits: HandshakeLimits,
): Promise<string | undefined> {
  const stream = begin(connection, ssl);
  const err = (await established(stream, limits)) ?? (ssl.verify ? sslVerdict(stream, ssl.serverName) : undefined);
  if (err !== undefined) {
    stream.destroy();
    return err;
  }
  connection.speakThrough(stream.pause(), new TlsSession(ssl.identity, stream));
  return undefined;
}

function begin({ inlet }: Outgoing, { context, serverName, session, identity }: SslSettings): TLSSocket {
  const raw = inlet.stream;
  // What a peer sent behind its plain "go ahead" is part of TLS, or wrong: it must not pass for text that came through TLS.
  raw.unshift(inlet.detach());
  const ticket = session && session.identity === identity ? session.ticket : undefined;
  const stream = connect({
    socket: raw,
    secureContext: context,
    rejectUnauthorized: false, // judged afterwards, with OpenResty's words
    checkServerIdentity: () => undefined,
    ...(serverName !== undefined && isIP(serverName) === 0 && { servername: serverName }), // RFC 6066 §3: no IP addresses
    ...(ticket && { session: ticket }),
  });
  return stream.on("error", ignore);
}

/** Resolves when both sides are done, or with the reason why not. */
function established(stream: TLSSocket, { timeoutMs, signal }: HandshakeLimits): Promise<string | undefined> {
  return new Promise((resolve) => {
    const settle = (err?: string): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      stream.off("secureConnect", succeed).off("error", fail).off("end", fail).off("close", fail);
      resolve(err);
    };
    const succeed = (): void => settle();
    const fail = (): void => settle("handshake failed");
    const abort = (): void => settle("aborted");
    const timer = setTimeout(() => settle("timeout"), timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    stream.on("secureConnect", succeed).on("error", fail).on("end", fail).on("close", fail);
  });
}

function ignore(): void {}
