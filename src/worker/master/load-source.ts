import type { GatewayConfig } from "../../gateway.ts";
import { type Loaded, loadConfig } from "../config/load-config.ts";
import { validate } from "../config/validate.ts";
import { withStartValues } from "../start-keys.ts";
import { Trial } from "../trial.ts";
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

/** What a process begins with. */
interface FirstSource extends LoadedSource {
  /** Why the `links` are not those of the start. */
  readonly linksFault?: unknown;
}

/**
 * The same for a process that begins with it, and so needs the `links`, too: where a reload has changed them, of the configuration that
 * the gateway was started with. That one's other code is nobody's any more, and what it throws ends nothing: then there are the `links` of
 * what serves.
 */
export async function loadFirstSource({ path, files, start, links }: Source): Promise<FirstSource> {
  const { config, loaded } = await read(path, files);
  const withLinks = (from: GatewayConfig): GatewayConfig =>
    withStartValues(config, links && from.links ? { ...start, links: from.links } : start);
  if (links === undefined || links === files) return { config: withLinks(config), loaded };
  const trial = new Trial();
  try {
    const first = await trial.load(() => read(path, links));
    return { config: withLinks(first.config), loaded };
  } catch (linksFault) {
    return { config: withLinks(config), loaded, linksFault };
  } finally {
    trial.end(new Error("nothing but its links is wanted"));
  }
}

async function read(path: string, files: Source["files"], unless?: AbortSignal): Promise<LoadedSource> {
  const loaded = await loadConfig(path, process.cwd(), new Map(Object.entries(files)), unless);
  unless?.throwIfAborted();
  return { config: validate(loaded), loaded };
}
