import { GatewayError } from "../errors.ts";
import { Certificate, certificateOf } from "../ssl/certificate.ts";
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
  if (chosen && "kind" in chosen) throw new GatewayError("RC_REJECTED", chosen.reason, { status: chosen.status });
  if (chosen) return chosen instanceof Certificate ? chosen : certificateOf(chosen);
  const found = await ssl.certs.find(session.hello.serverName);
  if (!found) throw new GatewayError("RC_TLS_NO_CERTIFICATE", session.hello.serverName ?? "the client named none");
  return found;
}
