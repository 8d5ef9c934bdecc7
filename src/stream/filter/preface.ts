import { GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import { type HeaderFilter, type HeaderFilterHost, type PrefaceTools, runFilter } from "./header-tools.ts";
import type { FilterControl } from "./stage.ts";

/** Runs a header filter once, with the peer connected; then bytes may move. */
export class Preface {
  readonly #filter: HeaderFilter;
  readonly #session: HeaderFilterHost;
  readonly #control: FilterControl;
  #isDone = false;

  constructor(filter: HeaderFilter, session: HeaderFilterHost, control: FilterControl) {
    this.#filter = filter;
    this.#session = session;
    this.#control = control;
  }

  begin(): void {
    try {
      const running = runFilter(this.#filter, this.#session, this.#tools());
      const start = (): void => this.#start();
      if (isPending(running)) running.then(start, (cause) => this.#fail(cause));
      else start();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #start(): void {
    this.#isDone = true;
    this.#control.start();
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
