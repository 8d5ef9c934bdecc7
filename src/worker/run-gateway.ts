import { Lifetime } from "./lifetime.ts";
import type { LoadedGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import { Master } from "./master/master.ts";
import { Single } from "./master/single.ts";
import { isOneProcess } from "./master/workers-of.ts";
import { Operator } from "./operator.ts";
import { makeStateDirs, type StateDirs } from "./state-dir.ts";

/** A gateway that serves, and what may be asked of it. */
export interface Started {
  readonly operator: Operator;
  readonly dirs: StateDirs;
  /** Ends the process, when the sessions have ended: at once, by themselves, or over a time. */
  stop(how: "quick" | "drain", overMs?: number): void;
}

/**
 * Serves until it is told to stop: TERM and INT at once, QUIT when the sessions have ended. USR1 reopens the log, HUP reads the
 * configuration again, USR2 replaces the workers. Resolves when the ports are open; never, when it was stopped before.
 * @throws BindError when a port cannot be opened
 */
export async function runGateway(
  loaded: LoadedGateway,
  log: OpenLog,
  lifetime: Lifetime = new Lifetime(),
): Promise<Started> {
  lifetime.begins(log);
  const { config } = loaded;
  const dirs = makeStateDirs(config, loaded.loaded, (reason) => log.warn("no private folder", { reason }));
  const start = (await isOneProcess(config, log)) ? Single.start : Master.start;
  const options = { log, stateDir: dirs.folder, ending: lifetime.ending };
  const gateway = await lifetime.starts(start(loaded, options));
  const operator = new Operator(gateway, loaded, log);
  lifetime.serves(operator);
  return { operator, dirs, stop: (how, overMs) => lifetime.stop(how, overMs) };
}
