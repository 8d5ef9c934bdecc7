import { createHash } from "node:crypto";
import { ipFromBytes, ipToBytes } from "../../codecs/ip.ts";
import { GatewayError, messageOf } from "../../errors.ts";
import type { Session } from "../session.ts";
import type { BandwidthLimit } from "./limit-config.ts";

/** When a limit is asked: as soon as its key can be known. */
export const stages = { accepted: 0, hello: 1, routed: 2 } as const;

export type Stage = (typeof stages)[keyof typeof stages];

/** How a limit finds its key. */
export interface KeyOf {
  readonly stage: Stage;
  /** In words, for log lines. */
  readonly text: string;
  of(session: Session): string | undefined;
}

/** What strangers send may be long, and keys stay in memory: longer ones are counted by their hash. */
const MAX_KEY_CHARS = 128;

const V4_BYTES = 4;
/** The rest of a subnet: a /24 of IPv4, which is what an office has, and a /64 of IPv6, which is what one customer has. */
const V4_NETWORK_BYTES = 3;
const V6_NETWORK_BYTES = 8;

/** Finds out how to read the key of a limit. */
export function keyOf(per: BandwidthLimit["per"]): KeyOf {
  switch (per) {
    case "session":
      return { stage: stages.accepted, text: "session", of: ({ id }) => id };
    case "address":
      return { stage: stages.accepted, text: "address", of: ({ remote }) => remote.host };
    case "subnet":
      return { stage: stages.accepted, text: "subnet", of: ({ remote }) => subnetOf(remote.host) };
    case "serverName":
      return { stage: stages.hello, text: "serverName", of: ({ ssl }) => boundedKey(ssl?.serverName?.toLowerCase()) };
    case "ja4":
      return { stage: stages.hello, text: "ja4", of: ({ ssl }) => ssl?.ja4 };
    case "clientId":
      return { stage: stages.routed, text: "clientId", of: ({ info }) => boundedKey(clientIdOf(info)) };
    default:
      return typeof per === "function" ? byFunction(per) : byVariable(per.var);
  }
}

function byFunction(compute: (session: Session) => string | number | undefined): KeyOf {
  return { stage: stages.routed, text: compute.name || "key", of: (session) => boundedKey(computed(session, compute)) };
}

function byVariable(name: string): KeyOf {
  return { stage: stages.routed, text: name, of: ({ vars }) => boundedKey(vars[name]) };
}

function computed(
  session: Session,
  compute: (session: Session) => string | number | undefined,
): string | number | undefined {
  try {
    return compute(session);
  } catch (cause) {
    throw new GatewayError("RC_HOOK_FAILED", `limits: ${messageOf(cause)}`, { cause });
  }
}

/** What stands for a value of any length. An empty key is none. nginx: requests with an empty key value are not accounted. */
export function boundedKey(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const text = String(value);
  return text.length <= MAX_KEY_CHARS ? text : createHash("sha256").update(text).digest("base64url");
}

/** The network that an address is in; a client of a unix socket has but the one. */
export function subnetOf(host: string): string {
  const bytes = ipToBytes(host);
  if (!bytes) return host;
  const size = bytes.length === V4_BYTES ? V4_NETWORK_BYTES : V6_NETWORK_BYTES;
  const network = bytes.map((byte, place) => (place < size ? byte : 0));
  return `${ipFromBytes(network)}/${size * 8}`;
}

function clientIdOf(info: unknown): unknown {
  return typeof info === "object" && info !== null && "clientId" in info ? info.clientId : undefined;
}
