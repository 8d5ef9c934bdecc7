/** Reports what may happen thousands of times: at once the first time, then at most once a second, with the count since. */
export class OncePerSecond {
  readonly #report: (count: number, latest: string) => void;
  #count = 0;
  #latest = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(report: (count: number, latest: string) => void) {
    this.#report = report;
  }

  note(latest: string, times = 1): void {
    this.#count += times;
    this.#latest = latest;
    if (!this.#timer) this.#flush();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#count === 0) return;
    this.#report(this.#count, this.#latest);
    this.#count = 0;
    this.#timer = setTimeout(() => this.#flush(), 1_000);
    this.#timer.unref();
  }
}
