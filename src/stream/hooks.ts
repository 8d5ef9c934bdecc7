import { GatewayError, messageOf } from "../errors.ts";
import { type HookWatch, watched } from "./hook-watch.ts";
import type { Awaitable, Phase } from "./session.ts";

/** What the hooks of a session need of it. */
export interface HookHost {
  phase: Phase;
  readonly hookWatch: HookWatch | undefined;
  /** How long hooks of that phase may wait; undefined: for as long as the session lives. */
  limitMs(phase: Phase): number | undefined;
  /** Reports a client that leaves, for as long as hooks wait. */
  watch(onLeft: (how: "ended" | "reset") => void): void;
  unwatch(): void;
  /** Tells a hook that wants to know. False: none does. */
  clientLeft(): boolean;
  /** Tells whoever holds the session's signal. */
  abort(cause: GatewayError): void;
}

/** Phases that something follows: `exit(0)` in them ends the phase only. OpenResty: `ngx.exit(ngx.OK)`. */
const FOLLOWED: ReadonlySet<Phase> = new Set<Phase>([
  "sslClientHello",
  "sslCertificate",
  "preread",
  "rewrite",
  "access",
  "balancer",
  "upstreamCertificate",
  "upstreamVerify",
  "headerFilter",
]);

/** A hook that has not ended yet. */
interface Waiting {
  /** Goes on as if it had returned nothing. */
  skip(): void;
  fail(cause: GatewayError): void;
}

/**
 * Runs the hooks of one session. Each ends by what it returns or throws, by its phase's time limit, by `exit`, or because the
 * client has reset or the session was stopped: whatever the hook itself makes of that, `try` and `catch` included.
 */
export class HookRunner {
  readonly #host: HookHost;
  /** Two at once where a certificate is chosen inside a STARTTLS dialog: the inner one last. */
  readonly #waiting: Waiting[] = [];
  #isInside = false;
  #skips = false;
  #exited: GatewayError | undefined;

  constructor(host: HookHost) {
    this.#host = host;
  }

  /** Set once the session is told to end: nothing that its hooks still do may reach the client. */
  get exited(): GatewayError | undefined {
    return this.#exited;
  }

  /** Runs user code as `phase`. Throws or rejects with RC_HOOK_FAILED, RC_HOOK_TIMEOUT, RC_EXITED, RC_CLIENT_RESET. */
  run<Result>(phase: Phase, work: () => Awaitable<Result>): Awaitable<Result | undefined> {
    if (this.#exited) throw this.#exited;
    this.#host.phase = phase;
    const result = this.#call(phase, work);
    if (!isPending(result)) return this.#skipped() ? undefined : result;
    if (!this.#exited && !this.#skipped()) return this.#wait(phase, Promise.resolve(result));
    result.catch(() => {}); // the exit itself, on its way through an async function
    if (this.#exited) throw this.#exited;
    return undefined;
  }

  /** @throws GatewayError RC_EXITED, always: nothing of the hook may run behind it */
  exit(status: number): never {
    const { phase } = this.#host;
    const exit = new GatewayError("RC_EXITED", String(status), { status: statusOf(status) });
    if (status === 0 && FOLLOWED.has(phase)) {
      if (this.#isInside) this.#skips = true;
      else this.#waiting.at(-1)?.skip();
    } else {
      this.#exited ??= exit;
      this.interrupt(this.#exited);
    }
    throw exit;
  }

  /** Gives up on the hooks that wait. */
  interrupt(cause: GatewayError): void {
    this.#host.abort(cause);
    for (const { fail } of [...this.#waiting]) fail(cause);
  }

  #call<Result>(phase: Phase, work: () => Awaitable<Result>): Awaitable<Result> | undefined {
    this.#isInside = true;
    try {
      const result = watched(this.#host.hookWatch, phase, work);
      if (this.#exited && !isPending(result)) throw this.#exited;
      return result;
    } catch (cause) {
      if (this.#exited) throw this.#exited;
      if (this.#skips) return undefined;
      throw failure(phase, cause);
    } finally {
      this.#isInside = false;
    }
  }

  #skipped(): boolean {
    const skipped = this.#skips;
    this.#skips = false;
    return skipped;
  }

  #wait<Result>(phase: Phase, running: Promise<Result>): Promise<Result | undefined> {
    return new Promise((resolve, reject) => {
      const limitMs = this.#host.limitMs(phase);
      const timer = limitMs === undefined ? undefined : setTimeout(() => waiting.fail(late(phase, limitMs)), limitMs);
      const settle = (): void => {
        clearTimeout(timer);
        this.#forget(waiting);
      };
      const waiting: Waiting = {
        skip: () => {
          settle();
          resolve(undefined);
        },
        fail: (cause) => {
          settle();
          reject(cause);
        },
      };
      this.#expect(waiting);
      running.then(
        (result) => {
          settle();
          resolve(result);
        },
        (cause) => waiting.fail(failure(phase, cause)),
      );
    });
  }

  #expect(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#host.hookWatch?.begin();
    if (this.#waiting.length > 1) return;
    this.#host.watch((how) => {
      const isTaken = this.#host.clientLeft();
      if (how === "reset" && !isTaken) this.interrupt(new GatewayError("RC_CLIENT_RESET", "while a hook ran"));
    });
  }

  #forget(waiting: Waiting): void {
    const place = this.#waiting.indexOf(waiting);
    if (place === -1) return;
    this.#waiting.splice(place, 1);
    this.#host.hookWatch?.end();
    if (this.#waiting.length === 0) this.#host.unwatch();
  }
}

/** nginx's `NGX_ERROR` and `NGX_OK` beside the statuses of a stream. */
function statusOf(status: number): number {
  if (status === -1) return 500;
  if (status === 0) return 200;
  if (!Number.isInteger(status) || status < 100 || status > 599)
    throw new TypeError(`exit: bad status ${String(status)}`);
  return status;
}

function late(phase: Phase, limitMs: number): GatewayError {
  return new GatewayError("RC_HOOK_TIMEOUT", `${phase}: not finished within ${limitMs} ms`);
}

function failure(phase: Phase, cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  return new GatewayError("RC_HOOK_FAILED", `${phase}: ${messageOf(cause)}`, { cause });
}

/** Anything that can be waited for, of whatever make. */
export function isPending<Result>(result: Awaitable<Result> | undefined): result is Promise<Result> {
  return typeof result === "object" && result !== null && "then" in result && typeof result.then === "function";
}
