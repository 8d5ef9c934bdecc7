import { resolve } from "node:path";
import { fileRegistry } from "./file/file.ts";
import { memoryRegistry } from "./memory.ts";
import type { Loss } from "./redis/loss.ts";
import { openRedis, type RedisLog } from "./redis/open-redis.ts";
import { redisRegistry } from "./redis/redis.ts";
import type { RedisConfig } from "./redis/redis-config.ts";
import type { RedisLink } from "./redis/redis-link.ts";
import type { Registry } from "./registry.ts";

/** The keys of a configuration that say where the registry is. Without any of them it is the memory of this process. */
export interface RegistryConfig {
  readonly redis?: RedisConfig | undefined;
  /** A folder, or a file whose name ends in `.json`; where it is given, Redis has no part in the registry. */
  readonly registry?: string | undefined;
}

/** What a registry is opened with. */
export interface OpenRegistryOptions {
  readonly log: RedisLog;
  /** Where the last snapshot is kept, for a start while Redis is away. */
  readonly stateDir?: string | undefined;
  /** Paths in the configuration are relative to it. Default: the working directory. */
  readonly baseDir?: string;
  /** A connection that is open already; it stays open when the registry closes. */
  readonly link?: RedisLink | undefined;
  /** Told that Redis has lost what was below a prefix that somebody watches, or some of it. */
  readonly onLost?: ((prefix: string, loss: Loss) => void) | undefined;
}

/**
 * Opens the registry that a configuration names. A Redis that is away does not stop it: what is known is answered, and the
 * rest comes when Redis does. Rejects when files cannot be read. @throws TypeError for a `redis` that cannot be meant
 */
export async function openRegistry(
  { redis, registry }: RegistryConfig,
  { log, stateDir, baseDir = process.cwd(), link, onLost }: OpenRegistryOptions,
): Promise<Registry> {
  if (registry !== undefined) return await fileRegistry(resolve(baseDir, registry), { warn: (text) => log.warn(text) });
  if (link) return await redisRegistry(link, { log, stateDir, onLost });
  if (redis === undefined) return memoryRegistry();
  const own = await openRedis(redis, { log, baseDir });
  return closing(await redisRegistry(own, { log, stateDir, onLost }), own);
}

/** The same registry, which takes its connection along when it closes. */
function closing(registry: Registry, link: RedisLink): Registry {
  return {
    get: (key) => registry.get(key),
    list: (prefix) => registry.list(prefix),
    put: (key, value, options) => registry.put(key, value, options),
    delete: (key, options) => registry.delete(key, options),
    watch: (prefix, signal) => registry.watch(prefix, signal),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await link[Symbol.asyncDispose]();
    },
  };
}
