/** Gateways that are remembered; with more, those that were silent for longest are forgotten. */
const MAX_ORIGINS = 16_384;

/** The last serial number of each gateway: tells what came twice, and what never came. */
export class Origins {
  readonly #last = new Map<string, number>();

  /** How many are missing between the last one and this; undefined: it has come before. What a gateway sent before it was known is not missed. */
  missedBefore(gateway: string, serial: number): number | undefined {
    const last = this.#last.get(gateway);
    if (last !== undefined && serial <= last) return undefined;
    this.#last.delete(gateway);
    this.#last.set(gateway, serial);
    if (this.#last.size > MAX_ORIGINS) this.#last.delete(this.#last.keys().next().value ?? "");
    return last === undefined ? 0 : serial - last - 1;
  }
}
