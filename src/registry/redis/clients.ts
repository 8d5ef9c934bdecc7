import type { Cluster, Redis } from "ioredis";
import { jitteredMs } from "./backoff.ts";
import type { RedisPlace, RedisSettings } from "./redis-config.ts";

/** Idle connections are probed, so that firewalls keep them. */
const KEEPALIVE_MS = 30_000;

/** A connection that has answered nothing for so many times the limit of one answer is dead, whatever TCP thinks. */
const DEAD_AFTER = 2;

/** A client of either kind: they have the same commands. */
export type Client = Redis | Cluster;

/** Two connections: one that hears messages can do little else. */
export interface Clients {
  readonly client: Client;
  /** The same client where it has a connection of its own for messages. */
  readonly subscriber: Client;
}

/** Makes the clients, which connect by themselves. ioredis costs 0.3 s and 25 MB: it is loaded where Redis is configured. */
export async function connectClients(settings: RedisSettings): Promise<Clients> {
  const library = await import("ioredis");
  const common = commonOptions(settings);
  const asking = { ...common, maxRetriesPerRequest: 0, socketTimeout: DEAD_AFTER * settings.commandTimeoutMs };
  if (settings.place.kind === "cluster") {
    const client = new library.Cluster([...settings.place.nodes], {
      enableOfflineQueue: false,
      clusterRetryStrategy: jitteredMs,
      slotsRefreshTimeout: settings.commandTimeoutMs,
      redisOptions: asking,
      dnsLookup: (address, callback) => callback(null, address), // certificates have names, and nodes say where they are
    });
    return { client, subscriber: client };
  }
  const where = { ...serverOptions(settings, settings.place), db: settings.database, retryStrategy: jitteredMs };
  return {
    client: new library.Redis({ ...where, ...asking, enableOfflineQueue: false }),
    subscriber: new library.Redis({ ...where, ...common, maxRetriesPerRequest: null }),
  };
}

function serverOptions({ tls, sentinelPassword }: RedisSettings, place: Exclude<RedisPlace, { kind: "cluster" }>) {
  if (place.kind === "single") return { ...place.server };
  return {
    sentinels: [...place.sentinels],
    name: place.name,
    sentinelRetryStrategy: jitteredMs,
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  };
}

function commonOptions({ username, password, tls, protocol, connectTimeoutMs }: RedisSettings) {
  return {
    protocol,
    connectTimeout: connectTimeoutMs,
    keepAlive: KEEPALIVE_MS,
    connectionName: "restyconf",
    autoResendUnfulfilledCommands: false, // whoever asks decides whether to ask again
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls }),
  };
}
