import { GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable } from "../session.ts";
import { type HeaderFilter, type HeaderFilterHost, type PrefaceTools, runFilter } from "./header-tools.ts";
import type { FilterControl, Pieces, Stage } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];

/** Runs a header filter once, with the peer connected, and lets no byte pass in either direction before it is done. */
export class Preface {
  readonly #filter: HeaderFilter;
  readonly #session: HeaderFilterHost;
  readonly #control: FilterControl;
  #isDone = false;
  #waiting: (() => void)[] = [];

  constructor(filter: HeaderFilter, session: HeaderFilterHost, control: FilterControl) {
    this.#filter = filter;
    this.#session = session;
    this.#control = control;
  }

  begin(): void {
    try {
      const running = runFilter(this.#filter, this.#session, this.#tools());
      const open = (): void => this.#open();
      if (isPending(running)) running.then(open, (cause) => this.#fail(cause));
      else open();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** The stage of one direction. */
  gate(): Stage {
    let chunk: Buffer | undefined;
    const passed = (): Buffer | undefined => {
      const passing = chunk;
      chunk = undefined;
      return passing;
    };
    return {
      isUnlimited: true,
      push: (piece) => {
        chunk = piece;
      },
      next: () => (this.#isDone ? passed() : this.#opened(passed)),
      end: () => (this.#isDone ? NOTHING : this.#opened(() => NOTHING)),
    };
  }

  #opened(then: () => Pieces | undefined): Awaitable<Pieces | undefined> {
    return new Promise((resolve) => this.#waiting.push(() => resolve(then())));
  }

  #open(): void {
    this.#isDone = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  }

  #fail(cause: unknown): void {
    this.#isDone = true;
    this.#control.exit(GatewayError.from(cause, "RC_HOOK_FAILED"));
  }

  #tools(): PrefaceTools {
    return {
      toClient: (bytes) => this.#send("client", bytes),
      toUpstream: (bytes) => this.#send("upstream", bytes),
    };
  }

  #send(side: "client" | "upstream", bytes: string | Uint8Array): void {
    if (this.#isDone) throw new TypeError("headerFilter: it is done, and bytes have gone");
    this.#control.inject(side, bytes);
  }
}
