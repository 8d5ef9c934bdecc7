import { messageOf } from "../errors.ts";
import { Turns } from "../shared/turns.ts";
import { type CanaryFault, judgeCanary } from "./canary-judge.ts";
import { ConfigError } from "./config/config-error.ts";
import { type LoadedGateway, loadGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import type { RunningGateway } from "./master/running-gateway.ts";
import { asStarted, type Start } from "./start-keys.ts";
import { Trial } from "./trial.ts";

/** What a configuration waits for may never come: so long may its module, `init` and `check` take while another one serves. */
const STEP_MS = 30_000;

/** A reload that was asked for and has not read the file yet. */
interface Waiting {
  readonly trial: Trial;
  readonly share: number;
  readonly done: Promise<void>;
}

/** A configuration that has a share of the new sessions. */
interface Canary {
  readonly trial: Trial;
  /** Aborts when it has another share, or none. */
  readonly over: AbortController;
}

/**
 * What signals and operators ask of a gateway. One configuration is read after the other, and the gateway is changed by one thing at
 * a time: what waits for a hook of the next configuration holds up no change of what serves, and new processes in the place of the
 * workers hold up nothing that goes back. What fails leaves everything as it was.
 */
export class Operator {
  #gateway: RunningGateway;
  readonly #path: string;
  readonly #start: Start;
  readonly #log: OpenLog;
  readonly #loading = new Turns();
  /** What may take long; going back does not wait for it. */
  readonly #orders = new Turns();
  /** What changes who serves. */
  readonly #changes = new Turns();
  #waiting: Waiting | undefined;
  /** What is asked for and does not serve yet. */
  readonly #wanted = new Set<Trial>();
  #canary: Canary | undefined;
  #promotion: AbortController | undefined;
  #isClosing = false;

  /** `first`: the configuration that the gateway was started with, and whose file a reload reads again. */
  constructor(gateway: RunningGateway, { config, links, loaded }: LoadedGateway, log: OpenLog) {
    this.#gateway = gateway;
    this.#path = loaded.path;
    this.#start = { config, links };
    this.#log = log;
  }

  /** Who serves: another one when one process has become several. */
  get gateway(): RunningGateway {
    return this.#gateway;
  }

  /**
   * Reads the configuration again. With a share, only so many of the new sessions see it, until `promote` or `rollback`. What is asked
   * for while the same waits for its turn is one with it.
   */
  reload(share = 1): Promise<void> {
    if (this.#waiting?.share === share) return this.#waiting.done;
    const trial = new Trial();
    this.#wanted.add(trial);
    const turn = this.#loading.take(() => this.#load(share, trial)).finally(() => this.#wanted.delete(trial));
    turn.catch((cause: Error) => trial.end(cause));
    this.#waiting = { trial, share, done: this.#told(share < 1 ? "canary" : "reload", turn) };
    return this.#waiting.done;
  }

  /** Has all new sessions served by the configuration that is tried out. */
  promote(): Promise<void> {
    return this.#told(
      "promotion",
      this.#order(() => this.#change(() => this.#promote())),
    );
  }

  /** Drops the configuration that is tried out, else goes back to the one before. What is being loaded is given up. */
  rollback(): Promise<void> {
    this.#giveUp("a rollback was asked for meanwhile");
    return this.#told(
      "rollback",
      this.#change(() => this.#goBack()),
    );
  }

  /** Puts new processes in the place of the workers. They serve what the others do, also where that changes meanwhile. */
  replace(): Promise<void> {
    return this.#told(
      "replacement",
      this.#order(() => this.#gateway.replace()),
    );
  }

  /** Ends the gateway; see {@link RunningGateway.close}. Nothing changes it from here on. */
  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    this.#isClosing = true;
    this.#giveUp("the gateway is ending");
    this.#endCanary();
    await this.#gateway.close(how, overMs);
  }

  async #load(share: number, trial: Trial): Promise<void> {
    if (this.#waiting?.trial === trial) this.#waiting = undefined;
    const next = await trial.load(() => loadGateway(this.#path, { stepMs: STEP_MS, unless: trial.ended }));
    const started = asStarted(next, this.#start, (keys) =>
      this.#log.warn("only a new start changes these keys", { keys }),
    );
    await this.#order(() => this.#change(() => this.#take(started, share, trial)));
  }

  /** Not in a closure: stacks of errors that the worker keeps hold on to closures, and they to the texts. */
  async #take(next: LoadedGateway, share: number, trial: Trial): Promise<void> {
    trial.ended.throwIfAborted(); // while it waited for its turn
    if (share < 1) await trial.run(() => this.#gateway.tryOut(next, share, trial.ended));
    else this.#gateway = await trial.run(() => this.#gateway.reload(next, trial.ended));
    this.#endCanary()?.end(new Error("another has taken its place"));
    if (share < 1) this.#watch(trial);
    else trial.adopt();
  }

  #watch(trial: Trial): void {
    const canary = { trial, over: new AbortController() };
    this.#canary = canary;
    const { signal } = canary.over;
    const blame = (): void => void this.#drop(canary, { reason: messageOf(trial.ended.reason) });
    if (trial.ended.aborted) blame();
    else trial.ended.addEventListener("abort", blame, { signal });
    void judgeCanary(this.#gateway, signal).then((fault) => fault && this.#drop(canary, fault));
  }

  /** Answers what was tried out. */
  #endCanary(): Trial | undefined {
    const canary = this.#canary;
    canary?.over.abort();
    this.#canary = undefined;
    return canary?.trial;
  }

  /** Unless it was promoted or dropped while this waited for its turn. */
  async #drop(canary: Canary, fault: CanaryFault): Promise<void> {
    const dropped = this.#change(async () => {
      if (this.#canary !== canary) return;
      this.#log.error("canary fails", fault);
      await this.#told("rollback", this.#goBack());
    });
    await dropped.catch(() => {}); // the log has it
  }

  async #goBack(): Promise<void> {
    this.#endCanary()?.end(new Error("it was rolled back"));
    if (!(await this.#gateway.rollback())) throw new Error("there is no configuration to go back to");
  }

  async #promote(): Promise<void> {
    const serving = await this.#unlessGivenUp((unless) => this.#gateway.promote(unless));
    if (!serving) throw new Error("no configuration is tried out");
    this.#gateway = serving;
    this.#endCanary()?.adopt();
  }

  /** Does what a rollback or the end gives up. */
  async #unlessGivenUp<Value>(work: (unless: AbortSignal) => Promise<Value>): Promise<Value> {
    const promotion = new AbortController();
    this.#promotion = promotion;
    try {
      return await work(promotion.signal);
    } finally {
      this.#promotion = undefined;
    }
  }

  #giveUp(why: string): void {
    this.#promotion?.abort(new Error(why));
    for (const trial of this.#wanted) trial.end(new Error(why));
    this.#waiting = undefined;
  }

  #order(work: () => Promise<void>): Promise<void> {
    return this.#orders.take(() => this.#unlessClosing(work));
  }

  #change(work: () => Promise<void>): Promise<void> {
    return this.#changes.take(() => this.#unlessClosing(work));
  }

  #unlessClosing(work: () => Promise<void>): Promise<void> {
    return this.#isClosing ? Promise.reject(new Error("the gateway is ending")) : work();
  }

  /** The log says what became of it. */
  async #told(what: string, change: Promise<void>): Promise<void> {
    try {
      await change;
      this.#log.info(`${what} done`, { generation: this.#gateway.generation });
    } catch (cause) {
      const reason = cause instanceof ConfigError ? cause.lines.join("; ") : messageOf(cause);
      this.#log.error(`${what} failed`, { generation: this.#gateway.generation, reason });
      throw new Error(reason, { cause });
    }
  }
}
