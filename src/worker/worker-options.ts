import type { RedisLink } from "../registry/redis/redis-link.ts";
import type { Dicts } from "../shared/dict/open-dicts.ts";
import type { EventTransport } from "../shared/events/message.ts";
import type { Log } from "../stream/log.ts";
import type { WorkerIds } from "./identity.ts";
import type { InheritedSockets } from "./master/inherited-sockets.ts";

/** What a worker is told by whoever starts it. */
export interface WorkerOptions {
  /** Which process this is; a gateway with one has the numbers 0. */
  readonly ids?: WorkerIds;
  /** Number of the first generation. Default 1. */
  readonly generation?: number;
  /** With which TLS sessions of the first generation are resumed. Default: each certificate has its own. */
  readonly ticketKeys?: Buffer;
  /** The first generation's dictionaries. Default: none. */
  readonly dicts?: Dicts;
  /** Sockets that the master opens, and sends when it is time to accept there. Undefined: the worker opens its ports itself. */
  readonly sockets?: InheritedSockets;
  /** Where what survives this process is kept. */
  readonly stateDir?: string | undefined;
  /** A connection that the process has already, for the registry. */
  readonly redis?: RedisLink | undefined;
  /** To the other workers. Default: there are none. */
  readonly events?: EventTransport;
  /** Paths in the configuration are relative to it. */
  readonly baseDir: string;
  readonly log: Log;
}
