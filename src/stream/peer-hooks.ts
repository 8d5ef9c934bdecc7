import { GatewayError, messageOf } from "../errors.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import type { JudgePeer } from "../upstream/peer-verdict.ts";
import type { Connection } from "./connection.ts";

/**
 * The peer with the certificate that `phases.upstreamCertificate` wants to show it.
 * @throws GatewayError RC_HOOK_FAILED, RC_HOOK_TIMEOUT, RC_EXITED: no other peer is tried
 */
export async function withCertificate(session: Connection, peer: PeerEndpoint): Promise<PeerEndpoint> {
  const { upstreamCertificate } = session.settings.phases;
  const pair = upstreamCertificate && (await session.hook("upstreamCertificate", () => upstreamCertificate(session)));
  if (!pair || !peer.ssl) return peer;
  try {
    return { ...peer, ssl: { ...peer.ssl, context: peer.ssl.contextWith(pair) } };
  } catch (cause) {
    throw new GatewayError("RC_HOOK_FAILED", `upstreamCertificate: ${messageOf(cause)}`, { cause });
  }
}

/** `phases.upstreamVerify` as who judges the peer's certificate. What it throws ends the session: no other peer is tried. */
export function judgeFor(session: Connection): JudgePeer | undefined {
  const { upstreamVerify } = session.settings.phases;
  if (!upstreamVerify) return undefined;
  return async (shown) => {
    const verdict: unknown = await session.hook("upstreamVerify", () => upstreamVerify(session, shown));
    session.phase = "proxy";
    if (typeof verdict === "boolean") return verdict;
    if (verdict === undefined || verdict === null) return undefined;
    throw new GatewayError("RC_HOOK_FAILED", `upstreamVerify: returned no boolean but ${typeof verdict}`);
  };
}
