import { GatewayError, messageOf } from "../errors.ts";
import { Certificate } from "../ssl/certificate.ts";
import type { HandshakeSettings } from "../ssl/context.ts";
import type { ServerSsl } from "../ssl/settings.ts";
import type { CertificateChoice, TlsVersions } from "../ssl/wish.ts";
import type { RejectAction } from "./action.ts";
import type { Connection } from "./connection.ts";
import { rejected } from "./refusal.ts";
import type { Phase } from "./session.ts";

/** What one handshake is made with. */
export interface HandshakePlan {
  readonly certificate: Certificate;
  readonly settings: HandshakeSettings;
}

/**
 * Asks `phases.sslClientHello` about a client that will not be passed through; undefined: the versions of `ssl`.
 * @throws GatewayError RC_REJECTED, RC_HOOK_FAILED
 */
export async function chooseVersions(session: Connection, ssl: ServerSsl): Promise<TlsVersions | undefined> {
  const { sslClientHello } = session.settings.phases;
  const returned = sslClientHello && (await session.hook("sslClientHello", () => sslClientHello(session)));
  const chosen = decided("sslClientHello", returned, "versions");
  if (!chosen) return undefined;
  const { minVersion, maxVersion } = chosen;
  blaming("sslClientHello", () => ssl.settingsFor({ minVersion, maxVersion })); // before a certificate is fetched for nothing
  return { minVersion, maxVersion };
}

/**
 * The certificate for this client: what `phases.sslCertificate` says, else the store's; and what else the hooks want.
 * @throws GatewayError RC_TLS_NO_CERTIFICATE, RC_TLS_STORE, RC_REJECTED, RC_HOOK_FAILED
 */
export async function chooseCertificate(
  session: Connection,
  ssl: ServerSsl,
  versions: TlsVersions | undefined,
): Promise<HandshakePlan> {
  const { sslCertificate } = session.settings.phases;
  const returned = sslCertificate && (await session.hook("sslCertificate", () => sslCertificate(session)));
  const chosen = decided("sslCertificate", returned, "certificate");
  const given = chosen && certificateIn(chosen, ssl);
  const settings = settingsOf(ssl, { versions, chosen });
  const certificate = given ?? (await ssl.certs.find(session.hello.serverName));
  if (!certificate)
    throw new GatewayError("RC_TLS_NO_CERTIFICATE", session.hello.serverName ?? "the client named none");
  return { certificate, settings };
}

/** Throws where a hook refuses the client, and where it returned something that no compiler has seen. */
function decided<Choice extends object>(
  phase: Phase,
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  returned: Choice | RejectAction | undefined | null | void,
  what: string,
): Choice | undefined {
  if (returned === undefined || returned === null) return undefined;
  if (typeof returned !== "object")
    throw new GatewayError("RC_HOOK_FAILED", `${phase}: returned no ${what} but ${typeof returned}`);
  if (!isAction(returned)) return returned;
  if (returned.kind === "reject") throw rejected(returned);
  throw new GatewayError("RC_HOOK_FAILED", `${phase}: returned no ${what} but an action ${String(returned.kind)}`);
}

function isAction<Choice extends object>(returned: Choice | RejectAction): returned is RejectAction {
  return "kind" in returned;
}

/** The certificate that a hook returned, if it did. A wrong one is the hook's fault. */
function certificateIn(chosen: Certificate | CertificateChoice, ssl: ServerSsl): Certificate | undefined {
  if (chosen instanceof Certificate) return chosen;
  const { cert, key, ca } = chosen;
  return blaming("sslCertificate", () => {
    if (cert && key) return ssl.certificateOf({ cert, key, ca });
    if (cert || key || ca) throw new TypeError("cert and key go together");
    return undefined;
  });
}

interface Chosen {
  readonly versions: TlsVersions | undefined;
  readonly chosen: Certificate | CertificateChoice | undefined;
}

/** Versions that `sslCertificate` wants go before those of `sslClientHello`. */
function settingsOf(ssl: ServerSsl, { versions = {}, chosen = {} }: Chosen): HandshakeSettings {
  if (chosen instanceof Certificate) return ssl.settingsFor(versions);
  const { minVersion = versions.minVersion, maxVersion = versions.maxVersion, requestCert, clientCa } = chosen;
  return blaming("sslCertificate", () => ssl.settingsFor({ minVersion, maxVersion, requestCert, clientCa }));
}

function blaming<Result>(phase: Phase, step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    throw new GatewayError("RC_HOOK_FAILED", `${phase}: ${messageOf(cause)}`, { cause });
  }
}
