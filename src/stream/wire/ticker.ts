/** Long enough that a busy connection never loses its buffer between two bursts, short against how long idle ones stay. */
const TICK_MS = 1_000;

/** Calls its members once a second, by one timer for all, which runs only while there are any. */
export class Ticker {
  readonly #members = new Set<{ tick(): void }>();
  #timer: NodeJS.Timeout | undefined;

  add(member: { tick(): void }): void {
    this.#members.add(member);
    this.#timer ??= setInterval(this.#tick, TICK_MS).unref();
  }

  delete(member: { tick(): void }): void {
    this.#members.delete(member);
  }

  readonly #tick = (): void => {
    for (const member of this.#members) member.tick();
    if (this.#members.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  };
}
