import { isIP, type Socket } from "node:net";
import { type Address, formatEndpoint, parseEndpoint } from "../codecs/address.ts";
import type { Network } from "../upstream/network.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import { Resolver } from "../upstream/resolve.ts";
import { memoryPair, systemError } from "./memory-socket.ts";
import type { Script } from "./party.ts";
import { type PartyHost, ScriptedParty } from "./scripted-party.ts";

/**
 * What a peer does: its script, once for each connection; or it refuses connections, is silent and never accepts any, or is
 * unresolved, since nobody knows its host name.
 */
export type PeerScript = Script | "refused" | "silent" | "unresolved";

/** Peers by `host:port`, `[v6]:port` or `unix:/path`, or all those of an upstream by its name. */
export type Peers = Readonly<Record<string, PeerScript>>;

interface MemoryNetworkParts extends PartyHost {
  readonly peers: Peers;
  readonly oneByOne: boolean;
  /** The upstream that a session connects to at this moment. */
  upstream(): string | undefined;
  /** A script has failed. */
  onFailure(cause: unknown): void;
}

/** RFC 5737: addresses for examples, which are nobody's. */
const EXAMPLE_NET = "192.0.2.";

/** The network of a run: whoever connects reaches the scripts of its peers, and nobody else. */
export class MemoryNetwork implements Network {
  readonly resolver: Resolver = new Resolver({ lookup: (host) => this.#lookup(host) });
  readonly parties: ScriptedParty[] = [];
  readonly #parts: MemoryNetworkParts;
  /** Host names by the address that each was given. */
  readonly #names = new Map<string, string>();
  readonly #scripts = new Map<string, PeerScript>();
  #ports = 40_000; // where connections come from: ephemeral ones, as they are called

  /** @throws TypeError for a peer that is neither an address nor one of these upstreams */
  constructor(parts: MemoryNetworkParts, upstreams: readonly string[]) {
    this.#parts = parts;
    for (const [key, script] of Object.entries(parts.peers)) {
      const endpoint = parseEndpoint(key);
      if (!endpoint && !upstreams.includes(key))
        throw new TypeError(`peers: ${JSON.stringify(key)} is neither an address nor an upstream of the configuration`);
      this.#scripts.set(endpoint ? formatEndpoint(endpoint) : key, script);
    }
  }

  connect(peer: PeerEndpoint): Socket {
    const { address, upstream } = this.#target(peer);
    const script = this.#scripts.get(address) ?? this.#scripts.get(upstream ?? "") ?? "refused";
    const remote = addressOf(address);
    const local = { host: peer.localAddress ?? (remote.port === 0 ? "unix:" : "127.0.0.1"), port: this.#ports++ };
    const { oneByOne, note } = this.#parts;
    const [near, far] = memoryPair({ local, remote, isDialed: true }, { local: remote, remote: local, oneByOne });
    if (script === "silent" || script === "unresolved") note({ kind: "connect", to: address, outcome: script });
    else setImmediate(() => (script === "refused" ? refuse() : accept(script)));
    const refuse = (): void => {
      note({ kind: "connect", to: address, outcome: "refused" });
      near.destroy(systemError("ECONNREFUSED"));
    };
    const accept = (played: Script): void => {
      if (near.destroyed) return;
      note({ kind: "connect", to: address, outcome: "connected" });
      near.arrive();
      const party = new ScriptedParty({ name: address, role: "peer", upstream }, far, this.#parts);
      this.parties.push(party);
      party.play(played).catch((cause: unknown) => this.#parts.onFailure(cause));
    };
    return near;
  }

  /** By its name where it has one, and the upstream that it is a peer of. */
  #target({ address, endpoint }: PeerEndpoint): { readonly address: string; readonly upstream: string | undefined } {
    const upstream = address === "" ? undefined : this.#parts.upstream(); // sockets of hooks are of no upstream
    if (endpoint.kind === "unix") return { address: formatEndpoint(endpoint), upstream };
    const host = this.#names.get(endpoint.host) ?? endpoint.host;
    return { address: formatEndpoint({ ...endpoint, host }), upstream };
  }

  async #lookup(host: string): Promise<readonly string[]> {
    const isUnknown = [...this.#scripts].some(([key, script]) => script === "unresolved" && key.startsWith(`${host}:`));
    const upstream = this.#parts.upstream();
    if (isUnknown || (upstream !== undefined && this.#scripts.get(upstream) === "unresolved"))
      throw systemError("ENOTFOUND");
    const known = [...this.#names].find(([, name]) => name === host);
    const address = known?.[0] ?? `${EXAMPLE_NET}${this.#names.size + 1}`;
    if (isIP(host) === 0) this.#names.set(address, host);
    return [address];
  }
}

function addressOf(text: string): Address {
  const endpoint = parseEndpoint(text);
  return endpoint?.kind === "tcp" ? { host: endpoint.host, port: endpoint.port } : { host: text, port: 0 };
}
