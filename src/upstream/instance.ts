import { readJsonObject } from "../codecs/json-object.ts";
import { messageOf } from "../errors.ts";
import { isWeight, type Peer, type PeerLimits, type PeerMode, peerOf } from "./peer.ts";

/** What an instance says of itself, or why that cannot be used. Unknown fields are for others. */
export function readInstance(value: string, limits: PeerLimits): Peer | string {
  const said = readJsonObject(value);
  if (!said) return "expected a JSON object";
  const { address, weight = 1, capacity, state = "ready", tags = [] } = said;
  if (typeof address !== "string") return "address: expected text";
  if (!isWeight(weight)) return "weight: expected a whole number from 1";
  if (!isCapacity(capacity)) return "capacity: expected a whole number from 1";
  if (!isMode(state)) return "state: expected ready, drain or maint";
  if (!isTexts(tags)) return "tags: expected a list of texts";
  try {
    return Object.freeze({
      ...peerOf({ address, weight, maxConns: capacity }, limits),
      mode: state,
      tags: Object.freeze([...tags]),
    });
  } catch (cause) {
    return messageOf(cause);
  }
}

/** Sessions that it takes at once: of each process, as `maxConns` of a peer in a list. */
function isCapacity(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === "number" && Number.isInteger(value) && value >= 1);
}

function isMode(value: unknown): value is PeerMode {
  return value === "ready" || value === "drain" || value === "maint";
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
