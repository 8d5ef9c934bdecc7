import { readInstance } from "./instance.ts";
import { Instances, type PeerSource } from "./instances.ts";
import type { Peer, PeerLimits } from "./peer.ts";

/** Says in a configuration that the peers of an upstream are those which registered for `service`. */
export interface RegistryPeers {
  readonly kind: "registry";
  readonly service: string;
}

/** Peers from the registry instead of a list: `peers: registry("game")` reads the keys `service:game:*`. */
export function registry(service: string): RegistryPeers {
  return { kind: "registry", service };
}

export interface DiscoveryOptions {
  readonly source: PeerSource;
  readonly service: string;
  readonly limits: PeerLimits;
  /** Called with the whole list at first, and whenever it changed. */
  readonly onPeers: (peers: readonly Peer[]) => void;
  readonly warn: (message: string) => void;
}

/** Follows the peers of one service. An unchanged value keeps its `Peer`, and with it what balancers remember of it. */
export function discover({ source, service, limits, onPeers, warn }: DiscoveryOptions): Instances<Peer> {
  return new Instances({
    source,
    service,
    read: (key, value) => {
      const answer = readInstance(value, limits);
      if (typeof answer !== "string") return answer;
      warn(`${key} is ignored: ${answer}`);
      return undefined;
    },
    onInstances: (peers) => onPeers(onePerAddress(peers)),
    warn,
  });
}

/** Of two instances at one address the first counts. */
function onePerAddress(peers: readonly Peer[]): readonly Peer[] {
  const known = new Map<string, Peer>();
  for (const peer of peers) if (!known.has(peer.address)) known.set(peer.address, peer);
  return [...known.values()];
}
