import { messageOf } from "../errors.ts";
import { ConfigError } from "./config/config-error.ts";
import { loadGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import type { WorkerStatus } from "./master/calls.ts";
import type { RunningGateway } from "./master/running-gateway.ts";

/** How often a generation that is tried out is judged. */
const JUDGE_MS = 500;

/** Before so many of its sessions have ended, nothing is known of it. */
const JUDGED_SESSIONS = 20;

/** So many failures more than the others' share are no accident: sessions fail by their peers, too. */
const MORE_FAILURES = 0.1;

/** What signals and operators ask of a gateway, one thing after the other. What fails leaves everything as it was. */
export class Operator {
  readonly gateway: RunningGateway;
  readonly #path: string;
  readonly #log: OpenLog;
  #changing: Promise<unknown> = Promise.resolve();
  #judging: NodeJS.Timeout | undefined;

  /** `path`: of the configuration, which a reload reads again. */
  constructor(gateway: RunningGateway, path: string, log: OpenLog) {
    this.gateway = gateway;
    this.#path = path;
    this.#log = log;
  }

  /** Reads the configuration again. With a share, only so many of the new sessions see it, until `promote` or `rollback`. */
  reload(share = 1): Promise<void> {
    return this.#change(share < 1 ? "canary" : "reload", async () => {
      clearInterval(this.#judging);
      const next = await loadGateway(this.#path);
      if (share >= 1) return this.gateway.reload(next);
      await this.gateway.tryOut(next, share);
      this.#judging = setInterval(() => void this.#judge(), JUDGE_MS);
    });
  }

  /** Has all new sessions served by the configuration that is tried out. */
  promote(): Promise<void> {
    return this.#change("promotion", async () => {
      clearInterval(this.#judging);
      if (!(await this.gateway.promote())) throw new Error("no configuration is tried out");
    });
  }

  /** Drops the configuration that is tried out, else goes back to the one before. */
  rollback(): Promise<void> {
    return this.#change("rollback", async () => {
      clearInterval(this.#judging);
      if (!(await this.gateway.rollback())) throw new Error("there is no configuration to go back to");
    });
  }

  /** Puts new processes in the place of the workers. */
  replace(): Promise<void> {
    return this.#change("replacement", () => this.gateway.replace());
  }

  async #judge(): Promise<void> {
    const status = await this.gateway.status();
    const own = sum(status.map(({ canary }) => canary?.own));
    const others = sum(status.map(({ canary }) => canary?.others));
    if (
      own.ended < JUDGED_SESSIONS ||
      own.failed / own.ended <= others.failed / Math.max(1, others.ended) + MORE_FAILURES
    )
      return;
    clearInterval(this.#judging);
    this.#log.error("canary fails", { sessions: own.ended, failed: own.failed });
    await this.rollback().catch(() => {}); // it has been logged
  }

  #change(what: string, work: () => Promise<void>): Promise<void> {
    const change = this.#changing.then(async () => {
      try {
        await work();
        this.#log.info(`${what} done`, { generation: this.gateway.generation });
      } catch (cause) {
        const reason = cause instanceof ConfigError ? cause.lines.join("; ") : messageOf(cause);
        this.#log.error(`${what} failed`, { generation: this.gateway.generation, reason });
        throw new Error(reason, { cause });
      }
    });
    this.#changing = change.catch(() => {});
    return change;
  }
}

type Ends = NonNullable<WorkerStatus["canary"]>["own"];

function sum(all: readonly (Ends | undefined)[]): Ends {
  const known = all.filter((ends) => ends !== undefined);
  return {
    ended: known.reduce((total, { ended }) => total + ended, 0),
    failed: known.reduce((total, { failed }) => total + failed, 0),
  };
}
