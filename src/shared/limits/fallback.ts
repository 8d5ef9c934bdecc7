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
  /** Told why Redis refuses a question while it answers others: a fault of ours. Not again before there is another reason. */
  readonly onRefusal?: ((reason: string) => void) | undefined;
}

/** First words of replies by which a whole Redis says that it can do nothing for anybody now. */
const AWAY_WORDS = new Set(
  "BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOAUTH NOREPLICAS OOM READONLY TRYAGAIN UNBLOCKED WRONGPASS".split(" "),
);

/** Redis has answered, and what it says concerns this question alone. */
function isRefusal(cause: unknown): boolean {
  if (!(cause instanceof Error) || cause.name !== "ReplyError") return false;
  return !AWAY_WORDS.has(cause.message.split(" ", 1)[0] ?? "");
}

type State =
  | { readonly kind: "there" }
  | { readonly kind: "away"; readonly askAgainAt: number }
  | { readonly kind: "asking" };

/**
 * Asks Redis as long as it answers, and somebody here while it does not: no session waits more than once for a Redis that is away.
 * What an answer says of Redis counts only while nothing newer is known: one that comes late neither ends an outage nor begins one.
 */
export class Fallback {
  readonly #timeoutMs: number;
  readonly #retryMs: number;
  readonly #onState: NonNullable<FallbackOptions["onState"]>;
  readonly #onRefusal: NonNullable<FallbackOptions["onRefusal"]>;
  /** Each change makes a new object: a question knows by it whether anything has changed since it was asked. */
  #state: State = { kind: "there" };
  #refusal: string | undefined;

  constructor(options: FallbackOptions) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retryMs = DEFAULT_RETRY_MS } = options;
    this.#timeoutMs = timeoutMs;
    this.#retryMs = retryMs;
    this.#onState = options.onState ?? (() => {});
    this.#onRefusal = options.onRefusal ?? (() => {});
  }

  get isAway(): boolean {
    return this.#state.kind !== "there";
  }

  /** Who is refused is answered here, too: sessions never end because of Redis. */
  async ask<Answer>(remote: () => Promise<Answer>, local: () => Answer): Promise<Answer> {
    const asked = this.#mayAsk();
    if (!asked) return local();
    try {
      const answer = await this.#inTime(remote());
      this.#answered(asked);
      return answer;
    } catch (cause) {
      if (isRefusal(cause)) {
        this.#refused(messageOf(cause));
        this.#answered(asked);
      } else this.#failed(asked, messageOf(cause));
      return local();
    }
  }

  /** What was known of Redis when the question was asked; undefined: it is not to be asked now. */
  #mayAsk(): State | undefined {
    if (this.#state.kind === "there") return this.#state;
    if (this.#state.kind === "asking" || performance.now() < this.#state.askAgainAt) return undefined;
    this.#state = { kind: "asking" };
    return this.#state;
  }

  #answered(asked: State): void {
    if (this.#state !== asked || asked.kind === "there") return;
    this.#state = { kind: "there" };
    this.#onState(false);
  }

  #failed(asked: State, reason: string): void {
    if (this.#state !== asked) return;
    this.#state = { kind: "away", askAgainAt: performance.now() + this.#retryMs };
    if (asked.kind === "there") this.#onState(true, reason);
  }

  #refused(reason: string): void {
    if (this.#refusal === reason) return;
    this.#refusal = reason;
    this.#onRefusal(reason);
  }

  #inTime<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${this.#timeoutMs} ms`)), this.#timeoutMs);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
