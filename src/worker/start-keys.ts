import { isDeepStrictEqual } from "node:util";
import type { GatewayConfig } from "../gateway.ts";
import type { LoadedGateway } from "./load-gateway.ts";

/** Keys that count at a gateway's start alone: what they name is opened then, and is the same in all of its processes until it ends. */
export const START_KEYS = [
  "log",
  "redis",
  "registry",
  "masterId",
  "machineBits",
  "links",
  "stateDir",
] as const satisfies readonly (keyof GatewayConfig)[];

type StartKey = (typeof START_KEYS)[number];

/** What a configuration says of them. */
export type StartValues = Pick<GatewayConfig, StartKey>;

/** The same without what is code, and so cannot be sent to another process. */
export type SentStartValues = Omit<StartValues, "links">;

/** The configuration that a gateway was started with, as far as it counts until its end. */
export type Start = Pick<LoadedGateway, "config" | "links">;

/** What a configuration says of the keys that count at the start. */
export function startValuesOf(config: GatewayConfig): StartValues {
  const { workers, advertise, shared, upstreams, servers, admin, phases, ...values } = config;
  return values;
}

/** What the processes of a gateway are sent of it. */
export function sentStartValuesOf(config: GatewayConfig): SentStartValues {
  const { links, ...sent } = startValuesOf(config);
  return sent;
}

/** A configuration with the keys of a gateway's start in place of its own. */
export function withStartValues(config: GatewayConfig, values: StartValues): GatewayConfig {
  const { log, redis, registry, masterId, machineBits, links, stateDir, ...others } = config;
  return Object.freeze({ ...others, ...values });
}

/** What was loaded for a gateway that runs already: the keys of its start stay. `onChanged` gets the names of those that are others now, if there are any. */
export function asStarted(
  next: LoadedGateway,
  { config, links }: Start,
  onChanged: (keys: readonly StartKey[]) => void,
): LoadedGateway {
  const changed = START_KEYS.filter((key) => !isSame(next.config, config, key));
  if (changed.length > 0) onChanged(changed);
  const own = { ...next, config: withStartValues(next.config, startValuesOf(config)) };
  return changed.includes("links") ? { ...own, links } : own; // nobody runs the start's code again for what is here as well
}

function isSame(next: GatewayConfig, first: GatewayConfig, key: StartKey): boolean {
  if (key === "links") return codecText(next) === codecText(first);
  return isDeepStrictEqual(next[key], first[key]);
}

/** Code is evaluated anew by each reload: its text is all that can be compared. */
function codecText({ links }: GatewayConfig): string {
  const codec = links?.codec;
  return codec ? [codec.name, codec.encode, codec.decode].join("\n") : "";
}
