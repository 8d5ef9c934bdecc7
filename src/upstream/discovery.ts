import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { patiently } from "./abort.ts";
import { readInstance } from "./instance.ts";
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

/** The two methods of a registry that discovery needs. */
export interface PeerSource {
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** Changes from the moment of the call on. */
  watch(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly key: string; readonly value: string | undefined }>;
}

export interface DiscoveryOptions {
  readonly source: PeerSource;
  readonly service: string;
  readonly limits: PeerLimits;
  /** Called with the whole list at first, and whenever it changed. */
  readonly onPeers: (peers: readonly Peer[]) => void;
  readonly warn: (message: string) => void;
}

/** More instances than any service has; more of them are a fault of whoever registers. */
const MAX_PEERS = 4_096;

/** A registry that went away is asked again after so long, doubling up to the second number. */
const MIN_RETRY_MS = 250;
const MAX_RETRY_MS = 5_000;

interface Instance {
  readonly value: string;
  readonly peer: Peer | undefined;
}

/** Follows one service in the registry. While the registry is away the last known peers stay. */
export class Discovery {
  /** Resolves when the registry has answered for the first time, or has failed to. */
  readonly ready: Promise<void>;
  readonly #options: DiscoveryOptions;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  readonly #instances = new Map<string, Instance>();
  readonly #running: Promise<void>;
  #isReady: () => void = () => {};
  #retryMs = MIN_RETRY_MS;
  #publishing: NodeJS.Immediate | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#prefix = `service:${options.service}:`;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.#running = this.#run(this.#stop.signal);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearImmediate(this.#publishing);
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController(); // a watch that is not read to its end must not stay
      const abort = (): void => round.abort();
      signal.addEventListener("abort", abort, { once: true });
      try {
        await this.#follow(round.signal);
      } catch (cause) {
        if (!signal.aborted) this.#options.warn(`${this.#prefix}* cannot be read: ${messageOf(cause)}`);
      } finally {
        signal.removeEventListener("abort", abort);
        round.abort();
      }
      this.#isReady();
      await sleep(this.#retryMs, undefined, { signal, ref: false }).catch(() => {});
      this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
    }
  }

  /** Watches first and lists then, so that no change falls between the two. */
  async #follow(signal: AbortSignal): Promise<void> {
    const changes = this.#options.source.watch(this.#prefix, signal);
    const listed = await patiently(this.#options.source.list(this.#prefix), { signal });
    this.#retryMs = MIN_RETRY_MS;
    for (const key of this.#instances.keys()) if (!listed.has(key)) this.#instances.delete(key);
    for (const [key, value] of listed) this.#set(key, value);
    this.#publish();
    this.#isReady();
    for await (const { key, value } of changes) {
      if (value === undefined) this.#instances.delete(key);
      else this.#set(key, value);
      this.#publishing ??= setImmediate(() => this.#publish()); // a burst of changes is one new list
    }
  }

  /** An unchanged value keeps its `Peer`, and with it what balancers remember of it. */
  #set(key: string, value: string): void {
    if (this.#instances.get(key)?.value === value) return;
    if (!this.#instances.has(key) && this.#instances.size >= MAX_PEERS) {
      this.#options.warn(`${key} is ignored: more than ${MAX_PEERS} instances`);
      return;
    }
    const answer = readInstance(value, this.#options.limits);
    if (typeof answer === "string") this.#options.warn(`${key} is ignored: ${answer}`);
    this.#instances.set(key, { value, peer: typeof answer === "string" ? undefined : answer });
  }

  /** In the order of keys, so that all workers see the same list; of two instances at one address the first counts. */
  #publish(): void {
    this.#publishing = undefined;
    const peers = new Map<string, Peer>();
    for (const key of [...this.#instances.keys()].sort()) {
      const peer = this.#instances.get(key)?.peer;
      if (peer && !peers.has(peer.address)) peers.set(peer.address, peer);
    }
    this.#options.onPeers([...peers.values()]);
  }
}
