import { messageOf } from "../../errors.ts";

/** How long a limiter may wait for Redis: a session waits with it. */
const DEFAULT_TIMEOUT_MS = 250;

/** How long Redis is left alone after it has failed. */
const DEFAULT_RETRY_MS = 1_000;

/** What the gateway does about a Redis that is away. */
export interface FallbackOptions {
  /** Who has no answer by then goes on without Redis. Default 250. */
  readonly timeoutMs?: number | undefined;
  /** How long Redis is not asked again after that; then one asks, and the others when it was answered. Default 1,000. */
  readonly retryMs?: number | undefined;
  /** Told when Redis goes away, and when it is back. */
  readonly onState?: ((isAway: boolean, reason?: string) => void) | undefined;
}

type State =
  | { readonly kind: "there" }
  | { readonly kind: "away"; readonly askAgainAt: number }
  | { readonly kind: "asking" };

/** Asks Redis as long as it answers, and somebody here while it does not: no session waits more than once for a Redis that is away. */
export class Fallback {
  readonly #timeoutMs: number;
  readonly #retryMs: number;
  readonly #onState: NonNullable<FallbackOptions["onState"]>;
  #state: State = { kind: "there" };

  constructor({ timeoutMs = DEFAULT_TIMEOUT_MS, retryMs = DEFAULT_RETRY_MS, onState = () => {} }: FallbackOptions) {
    this.#timeoutMs = timeoutMs;
    this.#retryMs = retryMs;
    this.#onState = onState;
  }

  get isAway(): boolean {
    return this.#state.kind !== "there";
  }

  async ask<Answer>(remote: () => Promise<Answer>, local: () => Answer): Promise<Answer> {
    if (!this.#mayAsk()) return local();
    try {
      const answer = await this.#inTime(remote());
      if (this.#state.kind !== "there") this.#onState(false);
      this.#state = { kind: "there" };
      return answer;
    } catch (cause) {
      if (this.#state.kind === "there") this.#onState(true, messageOf(cause));
      this.#state = { kind: "away", askAgainAt: performance.now() + this.#retryMs };
      return local();
    }
  }

  #mayAsk(): boolean {
    if (this.#state.kind === "there") return true;
    if (this.#state.kind === "asking" || performance.now() < this.#state.askAgainAt) return false;
    this.#state = { kind: "asking" };
    return true;
  }

  #inTime<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${this.#timeoutMs} ms`)), this.#timeoutMs);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
