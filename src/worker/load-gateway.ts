import type { GatewayConfig } from "../gateway.ts";
import { Deadline } from "../stream/deadline.ts";
import type { Snapshot } from "./config/bundle.ts";
import { ConfigError } from "./config/config-error.ts";
import { fileFaults } from "./config/file-faults.ts";
import { type Loaded, loadConfig } from "./config/load-config.ts";
import { shortPath } from "./config/source-place.ts";
import { validate } from "./config/validate.ts";

/** A configuration that may serve: right, and its hooks `init` and `check` have agreed. */
export interface LoadedGateway {
  readonly config: GatewayConfig;
  readonly loaded: Loaded;
  /** What was read, for the processes that serve it. */
  readonly snapshot: Snapshot;
  /** What was read with the `links` that count, which are code; undefined: there are none. */
  readonly links: Snapshot | undefined;
}

/**
 * Reads a configuration as it is on disk now, checks it, and runs its `init` and `check`: for a start, and for each reload. The module,
 * `init` and `check` may take `stepMs` each. Default: as long as they like. None of them begins once `unless` has aborted.
 * @throws UsageError, ConfigError, what the hooks throw, Error when they are not done in time, and the reason of `unless`
 */
export async function loadGateway(
  path: string | undefined,
  { stepMs = Number.POSITIVE_INFINITY, unless }: { readonly stepMs?: number; readonly unless?: AbortSignal } = {},
): Promise<LoadedGateway> {
  const snapshot: Snapshot = new Map();
  const loaded = await within(stepMs, "the configuration", loadConfig(path, process.cwd(), snapshot, unless));
  unless?.throwIfAborted();
  const config = validate(loaded);
  await within(stepMs, "init", Promise.resolve(config.phases?.init?.())); // it may make the very files that are looked for next
  const faults = await fileFaults(config, { baseDir: loaded.baseDir, warn: () => {} }); // start says the warnings itself
  unless?.throwIfAborted();
  if (faults.length > 0) throw new ConfigError(faults.map((fault) => `${shortPath(loaded.path)}: ${fault}`));
  await within(stepMs, "check", Promise.resolve(config.phases?.check?.()));
  return { config, loaded, snapshot, links: config.links && snapshot };
}

async function within<Value>(limitMs: number, what: string, work: Promise<Value>): Promise<Value> {
  using limit = new Deadline(limitMs);
  return await limit.limit(work, () => new Error(`${what}: not finished within ${limitMs} ms`));
}
