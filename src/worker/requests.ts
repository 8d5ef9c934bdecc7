import process from "node:process";

/** Signals that ask something of a gateway that serves. */
const REQUESTS = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** What a gateway that serves may be asked for by a signal. */
export type Request = (typeof REQUESTS)[number];

/**
 * Hears what signals ask of a gateway, from its process's first moment on: none of them ends it. Each is remembered once until there is
 * somebody to ask. Imports nothing, so that it is there before all else is loaded.
 */
export class Requests {
  readonly #early = new Set<Request>();
  #listener: ((request: Request) => void) | undefined;

  constructor() {
    for (const request of REQUESTS) process.on(request, () => this.#told(request));
  }

  /** Calls with each request from now on; at once with those that have come before. One listener. */
  handOver(listener: (request: Request) => void): void {
    this.#listener = listener;
    for (const request of this.#early) listener(request);
    this.#early.clear();
  }

  #told(request: Request): void {
    if (this.#listener) this.#listener(request);
    else this.#early.add(request);
  }
}
