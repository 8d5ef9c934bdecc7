import { messageOf } from "../errors.ts";
import { type Addon, type EngineKind, engineKindOf, loadAddon } from "../stream/carrier/addon.ts";
import { Carrier } from "../stream/carrier/carrier.ts";
import type { Log } from "../stream/log.ts";
import { ConfigError } from "./config/config-error.ts";

const CHOICES: readonly (string | undefined)[] = [undefined, "", "native", "node"];

/**
 * Starts the native carrier where it can be used; undefined: sessions take the node path. `wanted` (`RESTYCONF_CARRIER`) forces
 * one of them, `wantedEngine` (`RESTYCONF_ENGINE`) the native one's engine. @throws ConfigError for another word, and where what
 * is wanted cannot be had
 */
export function chooseCarrier(
  wanted: string | undefined,
  wantedEngine: string | undefined,
  maxSessions: number,
  log: Log,
): Carrier | undefined {
  const engine = readEngine(wantedEngine);
  if (!CHOICES.includes(wanted)) throw new ConfigError([`RESTYCONF_CARRIER: expected native or node, got ${wanted}`]);
  const loaded = wanted === "node" ? { addon: undefined, reason: "RESTYCONF_CARRIER=node" } : loadAddon();
  if (!loaded.addon) {
    if (wanted === "native") throw new ConfigError([`RESTYCONF_CARRIER=native: ${loaded.reason}`]);
    log.info("carrier", { carrier: "node", reason: loaded.reason });
    return undefined;
  }
  const carrier = startCarrier(loaded.addon, maxSessions, engine);
  log.info("carrier", { carrier: "native", engine: carrier.engine.kind });
  return carrier;
}

function readEngine(wanted: string | undefined): EngineKind | undefined {
  try {
    return engineKindOf(wanted);
  } catch (cause) {
    throw new ConfigError([messageOf(cause)]);
  }
}

/** Without a wanted engine, a failure is one of the system, and is told as such. */
function startCarrier(addon: Addon, maxSessions: number, engine: EngineKind | undefined): Carrier {
  try {
    return new Carrier(addon, maxSessions, engine);
  } catch (cause) {
    if (!engine) throw cause;
    throw new ConfigError([`RESTYCONF_ENGINE=${engine}: ${messageOf(cause)}`]);
  }
}
