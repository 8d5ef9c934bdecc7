import { unlessAborted } from "./give-up.ts";
import { Slot, type SlotHost, type SlotStart } from "./slot.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** The workers of a gateway: one for each number, those that are to come, and those that go. */
export class Crew {
  readonly #host: SlotHost;
  readonly #slots: Slot[] = [];
  /** Ready to serve, or about to be. */
  readonly #hired = new Set<Slot>();
  /** Too many: they serve until others accept at their sockets. */
  readonly #surplus = new Set<Slot>();
  /** They end, and still have sessions. */
  readonly #gone = new Set<Slot>();

  constructor(host: SlotHost) {
    this.#host = host;
  }

  /** Who serves. */
  get serving(): readonly WorkerProcess[] {
    return this.#slots.flatMap(({ process }) => (process ? [process] : []));
  }

  /** Who has sessions: also those that end. */
  get all(): readonly WorkerProcess[] {
    const slots = [...this.#slots, ...this.#surplus, ...this.#gone];
    return slots.flatMap(({ process, leaving }) => [...(process ? [process] : []), ...leaving]);
  }

  /** Who does not serve yet. */
  get starting(): readonly WorkerProcess[] {
    return [...this.#slots, ...this.#hired].flatMap(({ next }) => (next ? [next] : []));
  }

  /** Starts workers until there are so many: all of them, or none, as when `unless` aborts. They are ready to serve; {@link add} has them do so. */
  async hire(
    workers: number,
    how: SlotStart,
    unless: AbortSignal = new AbortController().signal,
  ): Promise<readonly Slot[]> {
    const slots = this.#missing(workers);
    const giveUp = (): void => this.dismiss(slots);
    return unlessAborted(unless, giveUp, async () => {
      for (const slot of slots) this.#hired.add(slot);
      try {
        await Promise.all(slots.map((slot) => slot.hire(how)));
        return slots;
      } catch (cause) {
        giveUp();
        throw cause;
      }
    });
  }

  async add(hired: readonly Slot[]): Promise<void> {
    this.#slots.push(...hired);
    for (const slot of hired) this.#hired.delete(slot);
    await Promise.all(hired.map((slot) => slot.serve()));
  }

  /** They are not needed after all. */
  dismiss(hired: readonly Slot[]): void {
    for (const slot of hired) {
      void slot.close("quick", { isLast: false });
      this.#hired.delete(slot);
    }
  }

  /** From now on there are so many. Those that lack are started, again and again where need be; those that are too many go with their sessions. */
  resize(workers: number): void {
    const added = this.#missing(workers);
    this.#slots.push(...added);
    for (const slot of added) void slot.renew();
    for (const slot of this.#slots.splice(workers)) {
      slot.retire();
      this.#surplus.add(slot);
    }
  }

  /** Others accept at all sockets, so those that are too many may go. */
  releaseSurplus(): void {
    for (const slot of this.#surplus) {
      this.#surplus.delete(slot);
      this.#gone.add(slot);
      void slot.close("drain", { isLast: false }).then(() => this.#gone.delete(slot));
    }
  }

  /** Has a worker serve what the others do; where that cannot be, another takes its place. */
  async follow(update: (process: WorkerProcess) => Promise<void>): Promise<void> {
    const updates = this.#slots.map(async (slot) => {
      const { process } = slot;
      if (!process) return;
      await update(process).catch(() => (slot.process === process ? slot.renew() : undefined));
    });
    await Promise.all(updates);
  }

  /** Puts a new process in the place of each, one after the other, but for those that are too many meanwhile. */
  async replace(): Promise<void> {
    for (const slot of [...this.#slots]) {
      const isNeeded = (): boolean => this.#slots.includes(slot);
      if (!isNeeded()) continue;
      await slot.start({ isPlanned: true }).catch((cause) => {
        if (isNeeded()) throw cause;
      });
    }
  }

  /** Ends all, and resolves when they have ended. */
  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    const all = [...this.#slots, ...this.#hired, ...this.#surplus, ...this.#gone];
    await Promise.all(all.map((slot) => slot.close(how, { overMs, isLast: true })));
  }

  /** Ends at once whatever lives. */
  destroy(): void {
    for (const process of this.all) process.destroy();
    for (const process of this.starting) process.destroy();
  }

  #missing(workers: number): readonly Slot[] {
    const first = this.#slots.length;
    return Array.from({ length: Math.max(0, workers - first) }, (_, index) => new Slot(first + index, this.#host));
  }
}
