import type { Registry } from "../registry/registry.ts";
import type { SharedDict } from "../shared/dict/shared-dict.ts";
import type { Events } from "../shared/events/events.ts";
import type { Snowflake } from "../shared/snowflake.ts";
import type { Timers } from "../shared/timer.ts";
import type { SharedTools } from "../shared/tools.ts";
import type { Ban, BanOptions } from "./bans/ban.ts";

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

/** Who is banned, at all gateways that share a registry: `session.worker.bans`. Any phase. */
export interface Bans {
  /**
   * Bans an address, a subnet (`203.0.113.0/24`), or all with a value of a key of limits (`clientId=bot-7`, `serverName=`, `ja4=`,
   * `var:name=`), in the place of an earlier ban of the same. Sessions that it holds end at once, as `killed`. Rejects with RC_REGISTRY
   * where the registry cannot be reached, with TypeError for what means nobody.
   */
  add(whom: string, options?: BanOptions): Promise<Ban>;
  /** Takes a ban back. False: there was none. Rejects as `add`. */
  remove(whom: string): Promise<boolean>;
  /** The bans that hold at this moment. */
  list(): readonly Ban[];
}

/** What became of something that was asked of one session; `err`: why it was not done. */
export type SessionDone =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: string };

/** What became of a broadcast. */
export interface BroadcastDone {
  /** Sessions whose client is sent the bytes. */
  readonly sessions: number;
  /** Sessions with the tag that could not take them. */
  readonly refused: number;
  /** Workers that have not answered in time. */
  readonly silent: number;
  /** Then nobody was sent anything. */
  readonly err?: "too large" | undefined;
}

/**
 * The sessions of all workers of all gateways on one Redis: `session.worker.sessions`. Rules and reasons are those of links to game
 * servers; besides, `no answer` when the worker of a session has not answered within a second, and `too large` above 48,000 bytes.
 * Any phase. @throws TypeError for what is no id, tag or bytes
 */
export interface SessionsEverywhere {
  /** Ends a session at once; its end cause is `killed`. */
  kick(session: string): Promise<SessionDone>;
  /** Sends bytes to the client of a session; text is UTF-8. */
  push(session: string, bytes: string | Uint8Array): Promise<SessionDone>;
  /** Sends bytes to all sessions with a tag; `*` means all. */
  broadcast(tag: string, bytes: string | Uint8Array): Promise<BroadcastDone>;
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
  /** Reaches sessions wherever they are. */
  readonly sessions: SessionsEverywhere;
  /** Who is turned away, at all gateways. */
  readonly bans: Bans;
  /** Messages between workers, and between gateways. */
  readonly events: Events;
  /** Makes ids that no other worker makes; those of sessions, too. */
  readonly snowflake: Snowflake;
  /** Dictionaries that all workers share, by name: `shared` of the configuration. OpenResty: `ngx.shared`. */
  readonly shared: Readonly<Record<string, SharedDict>>;
  /**
   * Timers that belong to the configuration: they rest while a reload has put another in its place, go on after a rollback, and are
   * called a last time, with `premature` true, when it cannot come back.
   */
  readonly timer: Pick<Timers, "at" | "every" | "counts">;
  /** Counts the configurations that this process has had, from 1. */
  readonly generation: number;
  /** A reload has put another configuration in its place: new sessions are not its own any more, unless it is rolled back. */
  readonly isReplaced: boolean;
  /** Aborts when that configuration cannot come back and its last session has left: the second reload after its own is done, or the process stops. */
  readonly signal: AbortSignal;
}
