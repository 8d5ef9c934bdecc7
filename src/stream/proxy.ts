import { formatEndpoint } from "../codecs/address.ts";
import { encodeProxyHeader } from "../codecs/proxy-protocol/encode.ts";
import { type ProxyFields, writeTlvs } from "../codecs/proxy-protocol/tlv.ts";
import { GatewayError } from "../errors.ts";
import type { PeerChoice } from "../upstream/choice.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import type { JudgePeer } from "../upstream/peer-verdict.ts";
import type { SessionSsl } from "../upstream/session-facts.ts";
import type { RejectAction } from "./action.ts";
import { nodeBuckets } from "./bucket.ts";
import type { Connection } from "./connection.ts";
import { stagesOf } from "./filter/body-filter.ts";
import { headerStages } from "./filter/header-filter.ts";
import type { MakeStages } from "./filter/stage.ts";
import { judgeFor, withCertificate } from "./peer-hooks.ts";
import { rejected } from "./refusal.ts";
import type { Relay } from "./relay.ts";

/** Finds a peer and begins to carry the session to it. */
export async function proxyTo(session: Connection, name: string): Promise<undefined> {
  const { upstreams, phases } = session.settings;
  const upstream = upstreams.get(name);
  if (!upstream) throw new GatewayError("RC_HOOK_FAILED", `no upstream is called ${name}`);
  session.upstream = name;
  session.phase = "balancer";
  const lease = await upstream.connect(
    {
      session,
      life: session,
      onAttempt: (attempt) => session.tried(attempt),
      choose: phases.balancer && ((attempt, lastFailure) => choose(session, attempt, lastFailure)),
    },
    (peer) => connect(session, peer),
  );
  session.relayedBy(lease);
}

/** Asks `phases.balancer`, once per attempt. */
async function choose(
  session: Connection,
  attempt: number,
  lastFailure: GatewayError | undefined,
): Promise<PeerChoice | undefined> {
  session.attempt = attempt;
  session.lastFailure = lastFailure?.message;
  const chosen = (await session.hook("balancer", () => session.settings.phases.balancer?.(session))) ?? undefined;
  if (isRefusal(chosen)) throw rejected(chosen);
  return chosen;
}

function isRefusal(chosen: PeerChoice | RejectAction | undefined): chosen is RejectAction {
  return typeof chosen === "object" && "kind" in chosen && chosen.kind === "reject";
}

function connect(session: Connection, peer: PeerEndpoint): Promise<Relay> {
  const { upstreamCertificate, upstreamVerify } = session.settings.phases;
  if (peer.ssl && (upstreamCertificate || upstreamVerify)) return connectHooked(session, peer);
  return carryTo(session, peer);
}

/** Asks hooks about TLS to this peer. */
async function connectHooked(session: Connection, peer: PeerEndpoint): Promise<Relay> {
  session.connecting = formatEndpoint(peer.endpoint);
  return carryTo(session, await withCertificate(session, peer), judgeFor(session));
}

function carryTo(session: Connection, peer: PeerEndpoint, judge?: JudgePeer): Promise<Relay> {
  session.phase = "proxy";
  session.idleTimeoutMs = peer.idleTimeoutMs ?? session.settings.idleTimeoutMs;
  const { client, limits } = session;
  const filters = filtersFor(session);
  const turn = limits?.enter(peer.ssl || filters ? nodeBuckets : client.buckets, client.head.size);
  const options = {
    idleTimeoutMs: session.idleTimeoutMs,
    preface: peer.proxyProtocol && proxyHeader(session, peer.proxyProtocol),
    life: session,
    judge,
    filters,
    rates: limits?.rates,
  };
  return turn === undefined ? client.relayTo(peer, options) : turn.then(() => client.relayTo(peer, options));
}

function filtersFor(session: Connection): MakeStages | undefined {
  const { headerFilter, bodyFilter } = session.settings.phases;
  if (!headerFilter && !bodyFilter) return undefined;
  return (control) => {
    const head = headerFilter && headerStages(headerFilter, session, control);
    session.filteredBy(control, head?.begin);
    const limitMs = session.limitMs("bodyFilter");
    const stages = { ...stagesOf(bodyFilter ?? {}, session), limitMs, watch: session.hookWatch };
    return head ? { ...stages, ...head.around(stages) } : stages;
  };
}

/** What we tell a peer about the client; version 1 has room for the addresses only. */
function proxyHeader(session: Connection, version: 1 | 2): Uint8Array {
  const { id, ssl, remote: source, local: destination } = session;
  const fields = { uniqueId: Buffer.from(id), authority: ssl?.serverName, alpn: ssl?.alpn };
  return encodeProxyHeader(version, { source, destination, tlvs: writeTlvs({ ...fields, ssl: ssl && proxySsl(ssl) }) });
}

/** Only for TLS that ended here: what passes through is the peer's own to judge. */
function proxySsl({ protocol, cipher, verify, clientCertificate }: SessionSsl): ProxyFields["ssl"] {
  if (protocol === undefined) return undefined;
  const shown = clientCertificate !== undefined;
  const facts = { ssl: true, certOnConnection: shown, certInSession: shown, verify: verify === "SUCCESS" ? 0 : 1 };
  return { ...facts, version: protocol, cipher };
}
