import type { ClusterLimiter, LimitAnswer, LimitError, Limiter } from "./limiter.ts";

/** A limiter, and the key that it is to be asked for. */
export interface LimiterAndKey {
  readonly limiter: Limiter | ClusterLimiter;
  readonly key: string;
}

/** What several limiters say together. */
export type CombinedAnswer =
  | {
      /** The longest of their delays. */
      readonly delayMs: number;
      /** The least of theirs. */
      readonly remaining: number;
      readonly err?: undefined;
      /** Of each limiter, in order. */
      readonly answers: readonly LimitAnswer[];
      /** Gives back what connections hold among them. */
      release(): void;
    }
  | {
      readonly err: LimitError;
      readonly delayMs?: undefined;
      readonly remaining?: undefined;
      /** Index of the limiter that said so. */
      readonly by: number;
    };

/**
 * Asks several limiters as one: all let in, or none has counted anything. The last is committed first, after the others have only
 * been asked. Any phase. OpenResty: `resty.limit.traffic`. @throws TypeError for what is no list of these
 */
export async function combineLimits(limiters: readonly LimiterAndKey[]): Promise<CombinedAnswer> {
  for (const { limiter } of limiters)
    if (!limiter) throw new TypeError("combineLimits: expected a list of { limiter, key }");
  const order = limiters.map((_, place) => place);
  const last = limiters.length - 1;
  for (const by of order.slice(0, last)) {
    const asked = await ask(limiters[by], false);
    if (asked?.err !== undefined) return { err: asked.err, by };
  }
  const answers: LimitAnswer[] = [];
  const undo: (() => unknown)[] = [];
  for (const by of [last, ...order.slice(0, Math.max(last, 0))]) {
    const answer = await ask(limiters[by], true);
    if (answer?.err !== undefined) {
      for (const takeBack of undo) await takeBack();
      return { err: answer.err, by };
    }
    if (answer) answers[by] = answer;
    if (answer) undo.push(takingBack(limiters[by], answer));
  }
  return {
    delayMs: Math.max(0, ...answers.map(({ delayMs = 0 }) => delayMs)),
    remaining: Math.min(...answers.map(({ remaining = 0 }) => remaining)),
    answers,
    release: () => {
      for (const answer of answers) answer.release?.();
    },
  };
}

async function ask(asked: LimiterAndKey | undefined, commit: boolean): Promise<LimitAnswer | undefined> {
  return await asked?.limiter.incoming(asked.key, { commit });
}

/** A lease takes itself back, and can then not be given back once more. */
function takingBack(of: LimiterAndKey | undefined, answer: LimitAnswer): () => unknown {
  return () => (answer.release ? answer.release() : of?.limiter.uncommit(of.key));
}
