import type { GatewayConfig } from "../../gateway.ts";
import { type Loaded, loadConfig } from "../config/load-config.ts";
import { validate } from "../config/validate.ts";
import type { Source } from "./calls.ts";

/**
 * Builds in a worker's process the configuration that its master has read: the same files, whatever is on disk by now. Nothing of it
 * is run once `unless` has aborted: rejects with its reason then.
 */
export async function loadSource(
  { path, files }: Source,
  unless?: AbortSignal,
): Promise<{ readonly config: GatewayConfig; readonly loaded: Loaded }> {
  const loaded = await loadConfig(path, process.cwd(), new Map(Object.entries(files)), unless);
  unless?.throwIfAborted();
  return { config: validate(loaded), loaded };
}
