import {
  type NotScheduled,
  type Scheduled,
  type TimerCallback,
  type TimerGroup,
  type Timers,
  timers,
} from "./timer.ts";

/**
 * The timers of one configuration: they rest while another one has its place, go on when it is back, and are called a last time,
 * with `premature` true, when it does not come back. Otherwise they are as those of the process. OpenResty: `ngx.timer`, whose timers
 * end with their worker.
 */
export class GenerationTimers implements TimerGroup, Pick<Timers, "at" | "every" | "counts"> {
  readonly #all: Timers;
  #state: "runs" | "rests" | "over" = "runs";

  /** `all`: those of the process. */
  constructor(all: Timers = timers) {
    this.#all = all;
  }

  get rests(): boolean {
    return this.#state === "rests";
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  readonly at = <Args extends readonly unknown[]>(
    delayMs: number,
    callback: TimerCallback<Args>,
    ...args: Args
  ): Scheduled | NotScheduled => this.#all.schedule({ kind: "at", delayMs, callback, args, group: this });

  readonly every = <Args extends readonly unknown[]>(
    delayMs: number,
    callback: TimerCallback<Args>,
    ...args: Args
  ): Scheduled | NotScheduled => this.#all.schedule({ kind: "every", delayMs, callback, args, group: this });

  readonly counts = (): ReturnType<Timers["counts"]> => this.#all.counts();

  /** Another configuration has its place, and may give it back. */
  rest(): void {
    if (this.#state === "runs") this.#state = "rests";
  }

  /** It serves again. */
  goOn(): void {
    if (this.#state !== "rests") return;
    this.#state = "runs";
    this.#all.wake(this);
  }

  /** It does not come back. */
  end(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#all.callAll(this);
  }
}
