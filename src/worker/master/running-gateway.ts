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
  /** Back to the configuration before, at once. False: there is none. */
  rollback(): Promise<boolean>;
  /** Puts a new process in the place of each worker, one after the other; the old ones end with their sessions. */
  replace(): Promise<void>;
  sessions(): Promise<readonly LiveSession[]>;
  /** Ends one session at once; its end cause is `killed`. False: no such session lives. */
  kill(session: string): Promise<boolean>;
  status(): Promise<readonly WorkerStatus[]>;
  /** Goes on in new log files. */
  reopen(): Promise<void>;
  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end. */
  close(how: "quick" | "drain"): Promise<void>;
}
