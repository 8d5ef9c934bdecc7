import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { alertOf } from "../codecs/refusal/tls.ts";
import { type AlertDescription, alert, alertDescriptions } from "../codecs/tls/alert.ts";
import { tlsOpening } from "../codecs/tls/opening.ts";
import { GatewayError, messageOf } from "../errors.ts";
import type { ServerSsl } from "../ssl/settings.ts";
import { verdictOf } from "../ssl/verify.ts";
import type { Action } from "./action.ts";
import { turnAwayKey } from "./bans/turn-away.ts";
import { chooseCertificate, chooseVersions } from "./choose-certificate.ts";
import { passthrough } from "./choose-route.ts";
import type { Connection } from "./connection.ts";
import { Deadline } from "./deadline.ts";
import { beginsTls, readHello } from "./hello.ts";
import { Inlet } from "./inlet.ts";
import { stages } from "./limits/limit-key.ts";
import { limitHello } from "./limits/session-limits.ts";
import { sslOfHandshake } from "./session-ssl.ts";

/**
 * Terminates TLS, so that the session goes on in clear text. An action is what the hello alone decided: a `tls()` route wants
 * it passed through as it is. Undefined: the routes are to be asked about the clear text, or about the bytes of a plain client.
 * @throws GatewayError RC_TLS_HELLO, RC_TLS_PLAIN, RC_TLS_NO_CERTIFICATE, RC_TLS_HANDSHAKE, RC_TLS_HANDSHAKE_TIMEOUT, …
 */
export async function terminateTls(session: Connection, ssl: ServerSsl): Promise<Action | undefined> {
  if (ssl.mode === "starttls") return undefined;
  if (ssl.mode === "auto" && !(await beginsTls(session))) return undefined;
  const isFirst = ssl.mode === "always" && !session.settings.proxyHeader;
  const beganAt = isFirst ? session.acceptedAt : performance.now();
  return shakeHands(session, { ssl, beganAt }, () => passthrough(session));
}

/**
 * Upgrades a plain session to TLS after a STARTTLS dialog; the ClientHello may be glued to the command.
 * @throws GatewayError RC_TLS_PLAIN when plain commands were pipelined behind it, else as {@link terminateTls}
 */
export async function upgrade(session: Connection, ssl: ServerSsl): Promise<void> {
  const { phase, client } = session;
  await client.flushed(); // the dialog's last line goes in clear text
  if (client.head.busy) throw new TypeError("startTls: socket busy reading");
  if (client.inlet.stream.writableEnded) throw new TypeError("startTls: after shutdown");
  try {
    await shakeHands(session, { ssl, beganAt: performance.now() }, () => undefined);
  } finally {
    session.phase = phase;
  }
}

/** Reads the hello, and goes on to TLS unless it decides otherwise. A client that is refused is told why by an alert. */
async function shakeHands(
  session: Connection,
  { ssl, beganAt }: { readonly ssl: ServerSsl; readonly beganAt: number },
  decide: () => Action | undefined,
): Promise<Action | undefined> {
  session.phase = "handshake";
  using deadline = new Deadline(beganAt + ssl.handshakeTimeoutMs - performance.now());
  try {
    await readHello(session, deadline.endsAt);
    turnAwayKey(session, stages.hello);
    if (session.settings.limits) await limitHello(session, session.settings.limits);
    const action = decide();
    if (!action) await secure(session, ssl, deadline);
    return action;
  } catch (cause) {
    sayWhy(session, GatewayError.from(cause));
    throw cause;
  }
}

/** Asks the hooks, runs the handshake, and puts the clear text in the place of the client's bytes. */
async function secure(session: Connection, ssl: ServerSsl, deadline: Deadline): Promise<void> {
  const versions = await deadline.limit(chooseVersions(session, ssl), () => late("in the sslClientHello hook"));
  const choosing = chooseCertificate(session, ssl, versions);
  const { certificate, settings } = await deadline.limit(choosing, () => late("while a certificate was chosen"));
  session.phase = "handshake";
  const { inlet } = session.client;
  const raw = inlet.stream;
  if (raw.destroyed) throw new GatewayError("RC_CLIENT_RESET", "while a certificate was chosen");
  raw.unshift(inlet.detach());
  const { clientCertificate } = settings;
  const tls = new TLSSocket(raw, {
    isServer: true,
    secureContext: ssl.contextOf(certificate, settings),
    requestCert: clientCertificate !== "off",
    rejectUnauthorized: clientCertificate === "required",
    ALPNProtocols: ssl.alpn.length > 0 ? [...ssl.alpn] : undefined,
  });
  await established(tls, raw, deadline);
  session.ssl = sslOfHandshake(session.hello, tls, verdictOf(tls, clientCertificate));
  session.client.speakThrough(new Inlet(tls, raw));
  session.sniffer = undefined; // what it matched was not the clear text
  session.patience.rearm();
  if (clientCertificate === "required" && session.ssl.verify !== "SUCCESS") {
    throw new GatewayError("RC_TLS_CLIENT_CERTIFICATE", session.ssl.verify);
  }
}

/** Waits for the handshake's end. The first of error, close and deadline tells why it failed. */
function established(tls: TLSSocket, raw: Socket, deadline: Deadline): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: GatewayError): void => {
      reject(cause);
      tls.destroy();
      raw.destroy();
    };
    const cut = (): void => fail(new GatewayError("RC_TLS_HANDSHAKE", "the connection ended inside it"));
    tls.once("secure", () => {
      deadline.stop();
      tls.off("end", cut);
      resolve();
    });
    tls.once("end", cut);
    tls.on("error", (cause) => fail(failure(cause)));
    tls.once("close", () => fail(new GatewayError("RC_TLS_HANDSHAKE", "the client closed the connection")));
    deadline.onExpire = () => fail(late("inside the handshake"));
  });
}

function late(where: string): GatewayError {
  return new GatewayError("RC_TLS_HANDSHAKE_TIMEOUT", where);
}

/** OpenSSL's words; a client that was told to show a certificate and did not has a code of its own. */
function failure(cause: Error): GatewayError {
  if ("code" in cause && cause.code === "ECONNRESET")
    return new GatewayError("RC_CLIENT_RESET", "in the handshake", { cause });
  const noCertificate = messageOf(cause).includes("peer did not return a certificate");
  return new GatewayError(noCertificate ? "RC_TLS_CLIENT_CERTIFICATE" : "RC_TLS_HANDSHAKE", reasonOf(cause), { cause });
}

function reasonOf(cause: Error): string {
  return "reason" in cause && typeof cause.reason === "string" ? cause.reason : messageOf(cause);
}

/** The alert that fits an error before OpenSSL has taken over; it sends its own. */
const alerts: Partial<Record<GatewayError["code"], AlertDescription>> = {
  RC_TLS_HELLO: alertDescriptions.decodeError,
  RC_TLS_NO_CERTIFICATE: alertDescriptions.unrecognizedName,
  RC_TLS_STORE: alertDescriptions.internalError,
  RC_HOOK_FAILED: alertDescriptions.internalError,
  RC_HOOK_TIMEOUT: alertDescriptions.internalError,
  RC_EXITED: alertDescriptions.accessDenied,
};

function sayWhy(session: Connection, error: GatewayError): void {
  const isSslv2 = error.code === "RC_TLS_HELLO" && tlsOpening(session.client.head.bytes).kind === "sslv2";
  const known = error.code === "RC_REJECTED" ? alertOf(error.status) : alerts[error.code];
  const description = isSslv2 ? alertDescriptions.protocolVersion : known;
  if (description !== undefined) session.client.lastWords(alert(description));
}
