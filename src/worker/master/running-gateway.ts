import type { LiveSession } from "../live-session.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { WorkerStatus } from "./calls.ts";

/** A gateway that serves, in one process or in several: what signals and operators may ask of it. */
export interface RunningGateway {
  /** Open ports, as the command line prints them. */
  readonly listening: readonly { readonly address: string; readonly server: string }[];
  /** Number of the generation that serves new sessions. */
  readonly generation: number;
  /** Has new sessions served by another configuration, in all workers or in none. What fails leaves everything as it was. */
  reload(next: LoadedGateway): Promise<void>;
  /** Has a share of the new sessions, from 0 to 1, served by another configuration, until it is promoted or rolled back. */
  tryOut(next: LoadedGateway, share: number): Promise<void>;
  /** Has all new sessions served by the configuration that is tried out. False: none is. */
  promote(): Promise<boolean>;
  /** Drops the configuration that is tried out, else goes back to the one before. At once. False: there is neither. */
  rollback(): Promise<boolean>;
  /** Puts a new process in the place of each worker, one after the other; the old ones end with their sessions. */
  replace(): Promise<void>;
  sessions(): Promise<readonly LiveSession[]>;
  /** Ends one session at once; its end cause is `killed`. False: no such session lives. */
  kill(session: string): Promise<boolean>;
  status(): Promise<readonly WorkerStatus[]>;
  /** Goes on in new log files. */
  reopen(): Promise<void>;
  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end, or ends them over a time. */
  close(how: "quick" | "drain", overMs?: number): Promise<void>;
}
