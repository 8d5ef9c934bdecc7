import type { GatewayConfig } from "../../gateway.ts";
import { type Loaded, loadConfig } from "../config/load-config.ts";
import { validate } from "../config/validate.ts";
import { withStartValues } from "../start-keys.ts";
import type { Source } from "./calls.ts";

/** A configuration in a worker's process. */
interface LoadedSource {
  readonly config: GatewayConfig;
  readonly loaded: Loaded;
}

/**
 * Builds in a worker's process the configuration that its master has read, for a generation: the same files, whatever is on disk by
 * now. Nothing of it is run once `unless` has aborted: rejects with its reason then.
 */
export async function loadSource(source: Source, unless?: AbortSignal): Promise<LoadedSource> {
  const { config, loaded } = await read(source.path, source.files, unless);
  return { config: withStartValues(config, source.start), loaded };
}

/** The same for a process that begins with it, and so needs the `links`, too: of the configuration that the gateway was started with. */
export async function loadFirstSource({ path, files, start, links }: Source): Promise<LoadedSource> {
  const { config, loaded } = await read(path, files);
  const { config: linking } = links === undefined || links === files ? { config } : await read(path, links);
  const values = links && linking.links ? { ...start, links: linking.links } : start;
  return { config: withStartValues(config, values), loaded };
}

async function read(path: string, files: Source["files"], unless?: AbortSignal): Promise<LoadedSource> {
  const loaded = await loadConfig(path, process.cwd(), new Map(Object.entries(files)), unless);
  unless?.throwIfAborted();
  return { config: validate(loaded), loaded };
}
