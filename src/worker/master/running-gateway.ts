import type { WorkerFacts } from "../../registry/worker-entry.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import type { CanaryFault } from "../canary-judge.ts";
import type { LiveSession } from "../live-session.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import type { WorkerStatus } from "./calls.ts";

/** What a gateway is started with, besides its configuration. */
export interface StartOptions {
  readonly log: OpenLog;
  /** For what is to survive it, if there is a place. */
  readonly stateDir: string | undefined;
  /** Aborts when it is told to end before it has started: what is open is closed at once. */
  readonly ending: AbortSignal;
}

/** A gateway that serves, in one process or in several: what signals and operators may ask of it. */
export interface RunningGateway {
  /** Open ports, as the command line prints them. */
  readonly listening: readonly { readonly address: string; readonly server: string }[];
  /** Number of the generation that serves new sessions. */
  readonly generation: number;
  /** Sessions run in this process, and what nobody catches has broken them; else other processes serve, and this one keeps them alive. */
  readonly servesHere: boolean;
  /** What processes have met with of the configuration that is tried out now: its faults, or ends of workers. Undefined: nothing. */
  readonly canaryFault: CanaryFault | undefined;
  /**
   * Has new sessions served by another configuration, in all workers or in none, and drops one that is tried out. What fails leaves
   * everything as it was, and so does `unless` when it aborts before the first session: rejects with its reason then. Resolves with
   * who serves from here on: one process that is to be several has these in its place.
   */
  reload(next: LoadedGateway, unless: AbortSignal): Promise<RunningGateway>;
  /** Has a share of the new sessions, from 0 to 1, served by another configuration, until it is promoted or rolled back; else like `reload`. */
  tryOut(next: LoadedGateway, share: number, unless: AbortSignal): Promise<void>;
  /** Has all new sessions served by the configuration that is tried out, and resolves as `reload` does. Undefined: none is. What fails, or `unless`, leaves it tried out. */
  promote(unless: AbortSignal): Promise<RunningGateway | undefined>;
  /** Drops the configuration that is tried out, else goes back to the one before. At once. False: there is neither. */
  rollback(): Promise<boolean>;
  /** Puts a new process in the place of each worker, one after the other; the old ones end with their sessions. */
  replace(): Promise<void>;
  sessions(): Promise<readonly LiveSession[]>;
  /** Ends one session at once, at whichever gateway it is; its end cause is `killed`. False: no such session lives. */
  kill(session: string): Promise<boolean>;
  /** Bans, unbans, and lists who is banned, at all gateways that share the registry. */
  ban(whom: string, options: BanOptions): Promise<Ban>;
  unban(whom: string): Promise<boolean>;
  bans(): Promise<readonly Ban[]>;
  /** The workers of all gateways that the registry knows. */
  registered(): Promise<readonly WorkerFacts[]>;
  status(): Promise<readonly WorkerStatus[]>;
  /** Goes on in new log files. */
  reopen(): Promise<void>;
  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end, or ends them over a time. */
  close(how: "quick" | "drain", overMs?: number): Promise<void>;
}
