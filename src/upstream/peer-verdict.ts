import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { GatewayError } from "../errors.ts";

/** What a peer has shown in its handshake, to be judged. */
export interface PeerShown {
  /** OpenSSL's verdict: it is signed by a trusted authority, valid today, and has the name that was asked for. */
  readonly authorized: boolean;
  /** Why not, in Node's words: `CERT_HAS_EXPIRED`, `DEPTH_ZERO_SELF_SIGNED_CERT`, `ERR_TLS_CERT_ALTNAME_INVALID`, … */
  readonly error: string | undefined;
  /** The name that was asked for and compared. */
  readonly serverName: string;
  /** The peer's own. */
  readonly certificate: X509Certificate;
  /** All that it has sent, its own first; where it sent them, and OpenSSL found them to be issuers of one another. */
  readonly chain: readonly X509Certificate[];
}

/** Judges instead of OpenSSL; undefined leaves it its verdict. Rejects when the session ends meanwhile. */
export type JudgePeer = (shown: PeerShown) => Promise<boolean | undefined>;

/** Certificates of a chain that are looked at. OpenSSL itself stops at 100; nobody has more than a handful. */
const MAX_CHAIN = 10;

/**
 * Asks whoever judges about a peer, once its handshake has ended. `verify`: what OpenSSL says counts where he says nothing.
 * @throws GatewayError RC_PEER_TLS for a peer that is refused
 */
export async function judgePeer(
  stream: TLSSocket,
  judge: JudgePeer,
  { serverName, verify, where }: { readonly serverName: string; readonly verify: boolean; readonly where: string },
): Promise<void> {
  const certificate = stream.getPeerX509Certificate();
  if (!certificate) throw new GatewayError("RC_PEER_TLS", `${where}: no certificate`);
  const { authorized } = stream;
  const error = authorized ? undefined : String(stream.authorizationError);
  const judged = await judge({ authorized, error, serverName, certificate, chain: chainOf(certificate) });
  if (judged === false) throw new GatewayError("RC_PEER_TLS", `${where}: refused by upstreamVerify`);
  if (judged === undefined && verify && !authorized) throw new GatewayError("RC_PEER_TLS", `${where}: ${error}`);
}

function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let one: X509Certificate | undefined = certificate; one && chain.length < MAX_CHAIN; one = one.issuerCertificate)
    chain.push(one);
  return chain;
}
