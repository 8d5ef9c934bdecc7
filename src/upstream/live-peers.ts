import { type FailPolicy, fresh, isOpen, nextState, type PeerEvent, type PeerState } from "./peer-state.ts";

/** What is known of one peer while the gateway runs: sessions on it, failures, and whether it is up. */
export class LivePeer {
  readonly #onIdle: () => void;
  #state: PeerState = fresh;
  #active = 0;

  constructor(onIdle: () => void = () => {}) {
    this.#onIdle = onIdle;
  }

  get state(): PeerState {
    return this.#state;
  }

  /** Sessions from the moment they choose this peer until they let go of it. */
  get active(): number {
    return this.#active;
  }

  isOpen(now: number): boolean {
    return isOpen(this.#state, now);
  }

  begin(): void {
    this.#active++;
  }

  end(): void {
    this.#active--;
    if (this.#active === 0) this.#onIdle();
  }

  /** Moves the state; answers whether it became another kind. */
  report(event: PeerEvent, policy: FailPolicy): boolean {
    const before = this.#state.kind;
    this.#state = nextState(this.#state, event, policy);
    return this.#state.kind !== before;
  }
}

interface Slot {
  readonly peer: LivePeer;
  holders: number;
}

/**
 * The live peers of a process, by upstream and address. A reload builds new upstreams over the same table, so counts
 * and failures survive it; a peer that no upstream lists and no session uses is forgotten, so the table stays bounded.
 */
export class LivePeers {
  readonly #slots = new Map<string, Slot>();

  /** Peers known at this moment. */
  get size(): number {
    return this.#slots.size;
  }

  /** The live peer of that address, kept until {@link drop} was called as often as this. */
  hold(upstream: string, address: string): LivePeer {
    const key = keyOf(upstream, address);
    const known = this.#slots.get(key);
    if (known) {
      known.holders++;
      return known.peer;
    }
    const peer = new LivePeer(() => this.#forget(key));
    this.#slots.set(key, { peer, holders: 1 });
    return peer;
  }

  drop(upstream: string, address: string): void {
    const key = keyOf(upstream, address);
    const slot = this.#slots.get(key);
    if (!slot) return;
    slot.holders--;
    this.#forget(key);
  }

  #forget(key: string): void {
    const slot = this.#slots.get(key);
    if (slot && slot.holders <= 0 && slot.peer.active === 0) this.#slots.delete(key);
  }
}

/** No name and no path has a NUL in it. */
function keyOf(upstream: string, address: string): string {
  return `${upstream}\0${address}`;
}
