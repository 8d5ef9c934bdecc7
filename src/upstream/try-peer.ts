import { isIP } from "node:net";
import { type Endpoint, formatEndpoint } from "../codecs/address.ts";
import { GatewayError, specs } from "../errors.ts";
import type { Life } from "./abort.ts";
import type { Attempt, Claim } from "./lease.ts";
import type { Peer } from "./peer.ts";
import type { PeerEndpoint } from "./peer-endpoint.ts";
import type { Resolver } from "./resolve.ts";

/** One peer for one session, chosen and counted, not yet connected. */
export interface Trial {
  readonly peer: Peer;
  readonly claim: Claim;
  readonly unresolved: Omit<PeerEndpoint, "endpoint">;
}

/** What a trial works with. */
export interface TrialTools {
  readonly resolver: Resolver;
  readonly now: () => number;
  readonly life: Life;
  readonly note: (attempt: Attempt) => void;
}

type Dial<T> = (peer: PeerEndpoint) => Promise<T>;

/** Addresses tried behind one name: more would hold a session for minutes. Their order turns, so the others come next. */
const MAX_ADDRESSES = 8;

/**
 * Connects to one peer, trying each address of its name, and lets the peer's state know how that ended.
 * The claim is released unless this succeeds.
 */
export function tryPeer<T>(trial: Trial, dial: Dial<T>, tools: TrialTools): Promise<T> {
  const { claim, peer } = trial;
  const { address, endpoint } = peer;
  const dialed = isNamed(endpoint)
    ? dialEach(trial, endpoint, dial, tools)
    : dialOne(trial, { address, endpoint }, dial, tools);
  const connected = (value: T): T => {
    claim.connected();
    return value;
  };
  const failed = (cause: unknown): never => {
    const failure = GatewayError.from(cause);
    if (mayRetry(failure, tools.life)) claim.failed(tools.now());
    else claim.abandoned(tools.now());
    claim.release();
    throw failure;
  };
  return dialed.then(connected, failed);
}

/** True when the peer is to blame, so that another one may do better; a session that ended itself blames nobody. */
export function mayRetry(failure: GatewayError, life: Life): boolean {
  return specs[failure.code].retry && !life.isOver;
}

async function dialEach<T>(trial: Trial, name: Named, dial: Dial<T>, tools: TrialTools): Promise<T> {
  let failure: GatewayError | undefined;
  for (const endpoint of await endpointsOf(trial, name, tools)) {
    try {
      return await dialOne(trial, { address: formatEndpoint(endpoint), endpoint }, dial, tools);
    } catch (cause) {
      failure = GatewayError.from(cause);
      if (!mayRetry(failure, tools.life)) break;
    }
  }
  throw failure ?? new GatewayError("RC_PEER_RESOLVE", trial.peer.address);
}

/** An endpoint that may be a name, which stands for addresses. */
type Named = Extract<Endpoint, { kind: "tcp" }>;

/** False where there is nothing to resolve. */
function isNamed(endpoint: Endpoint): endpoint is Named {
  return endpoint.kind === "tcp" && isIP(endpoint.host) === 0;
}

/** One connect to one address, noted. */
function dialOne<T>(
  { peer, unresolved }: Trial,
  { address, endpoint }: { readonly address: string; readonly endpoint: Endpoint },
  dial: Dial<T>,
  { now, note }: TrialTools,
): Promise<T> {
  const begun = now();
  const connected = (value: T): T => {
    note({ peer: peer.address, address, ok: true, connectMs: now() - begun, code: undefined });
    return value;
  };
  const failed = (cause: unknown): never => {
    const failure = GatewayError.from(cause);
    note({ peer: peer.address, address, ok: false, connectMs: undefined, code: failure.code });
    throw failure;
  };
  return dial(concrete(unresolved, endpoint)).then(connected, failed);
}

/** Property by property: this is done for every session, and spreading costs several times as much. */
function concrete(unresolved: Trial["unresolved"], endpoint: Endpoint): PeerEndpoint {
  const { address, connectTimeoutMs, localAddress, ssl, proxyProtocol, idleTimeoutMs } = unresolved;
  return { address, endpoint, connectTimeoutMs, localAddress, ssl, proxyProtocol, idleTimeoutMs };
}

/** All places that a name stands for. */
async function endpointsOf(trial: Trial, name: Named, tools: TrialTools): Promise<readonly Endpoint[]> {
  const { address } = trial.peer;
  try {
    const limits = {
      timeoutMs: trial.unresolved.connectTimeoutMs,
      get signal() {
        return tools.life.signal; // nearly always the answer is known, and nobody waits
      },
    };
    const hosts = await tools.resolver.resolve(name.host, limits);
    return hosts.slice(0, MAX_ADDRESSES).map((host) => ({ ...name, host }));
  } catch (cause) {
    const failure = GatewayError.from(cause);
    tools.note({ peer: address, address, ok: false, connectMs: undefined, code: failure.code });
    throw failure;
  }
}
