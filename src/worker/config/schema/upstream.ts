import { messageOf } from "../../../errors.ts";
import type { Balancer } from "../../../upstream/balancer.ts";
import type { RegistryPeers } from "../../../upstream/discovery.ts";
import { limitsOf, MAX_WEIGHT, type PeerConfig, peersOf } from "../../../upstream/peer.ts";
import type { PeerSslConfig } from "../../../upstream/peer-ssl.ts";
import type { UpstreamConfig } from "../../../upstream/upstream.ts";
import { peerAddress } from "./address.ts";
import {
  checked,
  either,
  flag,
  isRecord,
  list,
  made,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  secret,
  shape,
  text,
  whole,
} from "./schema.ts";
import { protocolName } from "./ssl.ts";

/** What differs between a configuration in code and one in data. */
export interface UpstreamForms {
  readonly balancer: Schema<Balancer>;
  readonly registryPeers: Schema<RegistryPeers>;
}

const limits = {
  maxConns: maybe(whole(1)),
  maxFails: maybe(whole(0)),
  failTimeoutMs: maybe(milliseconds()),
};

const peerOptions = shape("an address, or an object with one", {
  address: peerAddress,
  weight: maybe(whole(1, MAX_WEIGHT)),
  backup: maybe(flag),
  ...limits,
});

const peer: Schema<PeerConfig> = either<PeerConfig>((input) => (typeof input === "string" ? peerAddress : peerOptions));

/** What `peers` may be, in words that fit code and data. */
export const WHAT_PEERS = "a list of addresses, or registry and a name";

const peerList: Schema<readonly PeerConfig[]> = made(list(peer, WHAT_PEERS, { min: 1 }), (peers) => {
  try {
    peersOf(peers, limitsOf({})); // knows which addresses are the same
  } catch (cause) {
    throw new TypeError(messageOf(cause).replace(/^peers: /, ""), { cause }); // the path says it already
  }
  return peers;
});

const ssl: Schema<PeerSslConfig> = shape("an object; {} is enough", {
  serverName: maybe(text("a name")),
  ca: maybe(secret("PEM text or a path")),
  verify: maybe(flag),
  cert: maybe(secret("PEM text or a path")),
  key: maybe(secret("PEM text or a path")),
  alpn: maybe(list(protocolName, "a list of protocols")),
});

/** More tries than peers change nothing, so this is a guard against slips. */
const MAX_TRIES = 1_000;

/** An upstream. */
export function upstreamSchema({ balancer, registryPeers }: UpstreamForms): Schema<UpstreamConfig> {
  type Peers = UpstreamConfig["peers"];
  return shape("an object with peers", {
    peers: either<Peers>((input) => (isRecord(input) ? registryPeers : peerList)),
    balancer: maybe(balancer),
    connectTimeoutMs: maybe(milliseconds()),
    tries: maybe(whole(1, MAX_TRIES)),
    idleTimeoutMs: maybe(milliseconds()),
    proxyProtocol: maybe(oneOf(1, 2)),
    ssl: maybe(ssl),
    ...limits,
  });
}

/** What `roundRobin()`, `hash(…)` and the like return, or an object of the user with the same methods. */
export const balancerObject: Schema<Balancer> = checked(
  (value): value is Balancer =>
    isRecord(value) && typeof value["name"] === "string" && typeof value["pick"] === "function",
  "a balancer, like leastConn()",
);

/** What `registry(…)` returns. */
export const registryObject: Schema<RegistryPeers> = checked(
  (value): value is RegistryPeers =>
    isRecord(value) && value["kind"] === "registry" && typeof value["service"] === "string" && value["service"] !== "",
  WHAT_PEERS,
);
