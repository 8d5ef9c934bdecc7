import type { Registry } from "../registry/registry.ts";
import type { SharedDict } from "../shared/dict/shared-dict.ts";
import type { Events } from "../shared/events/events.ts";
import type { Snowflake } from "../shared/snowflake.ts";
import type { SharedTools } from "../shared/tools.ts";

/** A game server that hooks hear from. */
export interface LinkedServer {
  /** Name of the service in the registry. */
  readonly service: string;
  readonly instance: string;
  /** Where its sessions go. */
  readonly address: string;
}

/** Links to the game servers of the registry, as hooks use them: `session.worker.links`. */
export interface GameLinks {
  /**
   * Sends a message to the game server at `address`, which is the `session.peer` of its sessions. Nothing waits for one that is
   * not connected. Any phase. @throws TypeError for what the codec cannot say
   */
  send(
    address: string,
    data: unknown,
  ):
    | { readonly ok: true; readonly err?: undefined }
    | { readonly ok?: undefined; readonly err: "no such server" | "not connected" | "queue full" | "too large" };
  /** Sends it to all that are connected, or those of one service; answers how many got it. Any phase. @throws as `send` */
  broadcast(data: unknown, options?: { readonly service?: string }): number;
  /** Calls with each message of a game server, until what it returns is called, or the signal aborts. Best in `initWorker`. */
  onMessage(
    handler: (data: unknown, from: LinkedServer) => unknown,
    options?: { readonly signal?: AbortSignal },
  ): () => void;
}

/** The process that serves, as hooks see it: `session.worker`, and what `initWorker` is handed. */
export interface WorkerContext extends SharedTools {
  /** `masterId` × 10 + `number`: no two living processes of gateways on one Redis share it. */
  readonly id: number;
  /** Which of the gateway's processes this is, from 0. */
  readonly number: number;
  readonly masterId: number;
  /** Where `peers: registry(…)` looks. */
  readonly registry: Registry;
  /** Messages to and from game servers. */
  readonly links: GameLinks;
  /** Messages between workers, and between gateways. */
  readonly events: Events;
  /** Makes ids that no other worker makes; those of sessions, too. */
  readonly snowflake: Snowflake;
  /** Dictionaries that all workers share, by name: `shared` of the configuration. OpenResty: `ngx.shared`. */
  readonly shared: Readonly<Record<string, SharedDict>>;
  /** Counts the configurations that this process has had, from 1. */
  readonly generation: number;
  /** Aborts when that configuration is over: another has taken its place and its last session has left, or the process stops. */
  readonly signal: AbortSignal;
}
