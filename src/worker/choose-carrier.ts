import { loadAddon } from "../stream/carrier/addon.ts";
import { Carrier } from "../stream/carrier/carrier.ts";
import type { Log } from "../stream/log.ts";
import { ConfigError } from "./config/config-error.ts";

const CHOICES: readonly (string | undefined)[] = [undefined, "", "native", "node"];

/**
 * Starts the native carrier where it can be used; undefined: sessions take the node path. `wanted` (`RESTYCONF_CARRIER`) forces
 * one of them. @throws ConfigError for another word, and where the native one is wanted and cannot be had
 */
export function chooseCarrier(wanted: string | undefined, maxSessions: number, log: Log): Carrier | undefined {
  if (!CHOICES.includes(wanted)) throw new ConfigError([`RESTYCONF_CARRIER: expected native or node, got ${wanted}`]);
  const loaded = wanted === "node" ? { addon: undefined, reason: "RESTYCONF_CARRIER=node" } : loadAddon();
  if (!loaded.addon) {
    if (wanted === "native") throw new ConfigError([`RESTYCONF_CARRIER=native: ${loaded.reason}`]);
    log.info("carrier", { carrier: "node", reason: loaded.reason });
    return undefined;
  }
  const carrier = new Carrier(loaded.addon, maxSessions);
  log.info("carrier", { carrier: "native", engine: carrier.engine.kind });
  return carrier;
}
