import { GatewayError, messageOf } from "../errors.ts";
import type { Certificate, Pem } from "../ssl/certificate.ts";
import type { ServerSsl } from "../ssl/settings.ts";
import type { Connection } from "./connection.ts";

/**
 * The certificate for this client: what `phases.sslCertificate` says, else the store's.
 * @throws GatewayError RC_TLS_NO_CERTIFICATE, RC_REJECTED, RC_HOOK_FAILED
 */
export async function chooseCertificate(session: Connection, ssl: ServerSsl): Promise<Certificate> {
  const { phases } = session.settings;
  const chosen =
    phases.sslCertificate && (await session.hook("sslCertificate", () => phases.sslCertificate?.(session)));
  if (typeof chosen === "object" && chosen && "kind" in chosen)
    throw new GatewayError("RC_REJECTED", chosen.reason, { status: chosen.status });
  if (chosen) return given(chosen, ssl);
  const found = await ssl.certs.find(session.hello.serverName);
  if (!found) throw new GatewayError("RC_TLS_NO_CERTIFICATE", session.hello.serverName ?? "the client named none");
  return found;
}

/** What a hook returned may be wrong, and that is the hook's fault. */
function given(chosen: Certificate | Pem, ssl: ServerSsl): Certificate {
  try {
    return ssl.certificateOf(chosen);
  } catch (cause) {
    throw new GatewayError("RC_HOOK_FAILED", `sslCertificate: ${messageOf(cause)}`, { cause });
  }
}
