import type { LivePeer, LivePeers } from "./live-peers.ts";
import type { Peer } from "./peer.ts";

/** A list that has at least one element, as balancers want it. */
export type NonEmpty<T> = readonly [T, ...T[]];

/** The peers of an upstream at one moment, each with its live state. Never changed: a new list is a new group. */
export class PeerGroup {
  readonly peers: readonly Peer[];
  /** An upstream's only peer is never taken down: there is nowhere else to go. As nginx. */
  readonly single: boolean;
  readonly #upstream: string;
  readonly #table: LivePeers;
  readonly #live = new Map<Peer, LivePeer>();
  readonly #byAddress = new Map<string, Peer>();
  /** The peers that are no backups: as long as all is well, the answer to every question. */
  readonly #regular: NonEmpty<Peer> | undefined;

  constructor(upstream: string, peers: readonly Peer[], table: LivePeers) {
    this.peers = Object.freeze([...peers]);
    this.single = peers.length === 1;
    const regular = this.peers.filter(({ backup }) => !backup);
    this.#regular = isNonEmpty(regular) ? regular : undefined;
    this.#upstream = upstream;
    this.#table = table;
    for (const peer of peers) {
      this.#live.set(peer, table.hold(upstream, peer.address));
      this.#byAddress.set(peer.address, peer);
    }
  }

  find(address: string): Peer | undefined {
    return this.#byAddress.get(address);
  }

  live(peer: Peer): LivePeer | undefined {
    return this.#live.get(peer);
  }

  /** Sessions on a peer; 0 for one that is not of this group. */
  active(peer: Peer): number {
    return this.#live.get(peer)?.active ?? 0;
  }

  /** The peers that may be given a session now: backups only when there is no other. */
  usable(now: number, tried: ReadonlySet<string>): NonEmpty<Peer> | undefined {
    if (tried.size === 0 && this.#regular && this.#regular.every((peer) => this.#isUsable(peer, now)))
      return this.#regular;
    const open = this.peers.filter((peer) => !tried.has(peer.address) && this.#isUsable(peer, now));
    const first = open.filter(({ backup }) => !backup);
    if (isNonEmpty(first)) return first;
    return isNonEmpty(open) ? open : undefined;
  }

  /** Lets the table forget what no other group lists. */
  close(): void {
    for (const peer of this.#live.keys()) this.#table.drop(this.#upstream, peer.address);
  }

  #isUsable(peer: Peer, now: number): boolean {
    const live = this.#live.get(peer);
    if (!live || peer.mode !== "ready" || live.active >= peer.maxConns) return false;
    return live.isOpen(now) || (this.single && live.state.kind !== "draining");
  }
}

function isNonEmpty<T>(list: readonly T[]): list is NonEmpty<T> {
  return list.length > 0;
}
