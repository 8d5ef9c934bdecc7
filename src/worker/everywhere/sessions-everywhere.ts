import { randomUUID } from "node:crypto";
import type { EventFacts, Events } from "../../shared/events/events.ts";
import type { EventTarget } from "../../shared/events/message.ts";
import type { BroadcastDone, SessionDone, SessionsEverywhere } from "../../stream/worker-context.ts";
import type { Identity } from "../identity.ts";
import type { LinkSessions } from "../link/link-sessions.ts";
import { NO_SESSION, perform } from "../link/requests.ts";
import { silentNumber } from "../live-session.ts";
import { Pending } from "./pending.ts";
import {
  ANSWERS,
  type Outcome,
  outcomeOf,
  QUESTIONS,
  type Question,
  questionOf,
  readOutcome,
  readQuestion,
  writeQuestion,
} from "./question.ts";

/** So long a worker may take to answer another: the way there and back takes milliseconds, a worker that is busy some hundreds. */
export const ANSWER_MS = 1_000;

/** What fits into an event as base64, with all that stands beside it. */
export const MAX_PUSH_BYTES = 48_000;

/** Questions of others that wait here for those before them; whoever asks more is not answered. */
const MAX_WAITING = 1_000;

/** What reaching all sessions takes. */
export interface EverywhereParts {
  readonly events: Events;
  readonly identity: Identity;
  /** Those of this worker. */
  readonly sessions: LinkSessions;
  /** Ids of all workers that are known to live, at all gateways. */
  workers(): Promise<ReadonlySet<number>>;
  /** Default {@link ANSWER_MS}. */
  readonly answerMs?: number;
}

/** The sessions of all workers of all gateways: asks by events, and does for others what they ask. Rules and words are those of links. */
export class Everywhere implements SessionsEverywhere, Disposable {
  readonly #parts: EverywhereParts;
  readonly #pending: Pending;
  /** Tells this process from all others, also from an older one with its number. */
  readonly #name = randomUUID();
  readonly #leave: readonly (() => void)[];
  #count = 0;
  /** What others have asked: one thing after the other, in the order in which it came. */
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(parts: EverywhereParts) {
    const { events, answerMs = ANSWER_MS } = parts;
    this.#parts = parts;
    this.#pending = new Pending(answerMs);
    this.#leave = [
      events.subscribe(QUESTIONS, (data, event) => this.#onQuestion(data, event)),
      events.subscribe(ANSWERS, (data) => this.#onAnswer(data)),
    ];
  }

  kick(session: string): Promise<SessionDone> {
    return this.#askOne(session, questionOf({ type: "kick", session }));
  }

  push(session: string, bytes: string | Uint8Array): Promise<SessionDone> {
    return this.#askOne(session, questionOf({ type: "push", session, data: bytes }));
  }

  async broadcast(tag: string, bytes: string | Uint8Array): Promise<BroadcastDone> {
    const question = questionOf({ type: "broadcast", tag, data: bytes });
    if (isTooLarge(question)) return { sessions: 0, refused: 0, silent: 0, err: "too large" };
    const expected = new Set(await this.#parts.workers());
    expected.delete(this.#parts.identity.id);
    const own = this.#perform({ ...question, id: "" });
    const isEnough = (outcomes: readonly Outcome[]): boolean => missing(expected, outcomes) === 0;
    const outcomes = await this.#ask("cluster", question, isEnough);
    const all = [await own, ...outcomes];
    return {
      sessions: all.reduce((sum, { sessions }) => sum + sessions, 0),
      refused: all.reduce((sum, { refused }) => sum + refused, 0),
      silent: missing(expected, outcomes),
    };
  }

  [Symbol.dispose](): void {
    for (const leave of this.#leave) leave();
    this.#pending.close();
  }

  /** Here first. Who else may have it, its id tells: then one worker looks for it, and the others pass the question over. */
  async #askOne(session: string, question: Question): Promise<SessionDone> {
    if (isTooLarge(question)) return { err: "too large" };
    const { identity } = this.#parts;
    const here = await this.#perform({ ...question, id: "" });
    if (here.refusal !== NO_SESSION) return doneOf(here);
    if (silentNumber(session) !== undefined || identity.hasMade(session)) return { err: NO_SESSION };
    const [outcome] = await this.#ask(
      identity.isOfGateway(session) ? "all" : "cluster",
      question,
      (all) => all.length > 0,
    );
    return outcome ? doneOf(outcome) : { err: "no answer" };
  }

  async #ask(
    target: EventTarget,
    question: Question,
    isEnough: (outcomes: readonly Outcome[]) => boolean,
  ): Promise<readonly Outcome[]> {
    if (!this.#pending.hasRoom) return [];
    const id = `${this.#name}.${++this.#count}`;
    const { err } = this.#parts.events.publish(target, QUESTIONS, writeQuestion(id, question));
    return err === undefined ? this.#pending.wait(id, isEnough) : [];
  }

  #onQuestion(data: unknown, event: EventFacts): void {
    const question = readQuestion(data);
    if (!question || question.id.startsWith(this.#name) || this.#waiting >= MAX_WAITING) return;
    if (question.kind !== "broadcast" && !this.#parts.identity.mayHave(question.session)) return;
    this.#waiting++;
    this.#work = this.#work.then(async () => {
      this.#waiting--;
      this.#answer(question, await this.#perform(question), event);
    });
  }

  /** Who has not the session is silent, unless it can be nobody else's: another may be about to say that it was done. */
  #answer(question: Question, outcome: Outcome, { gateway, from }: EventFacts): void {
    const { events, identity } = this.#parts;
    const isNobodys = outcome.refusal === NO_SESSION && question.kind !== "broadcast";
    if (isNobodys && !identity.hasMade(question.session)) return;
    events.publish({ gateway, worker: from }, ANSWERS, outcome);
  }

  #onAnswer(data: unknown): void {
    const outcome = readOutcome(data);
    if (outcome) this.#pending.take(outcome);
  }

  async #perform(question: Question & { readonly id: string }): Promise<Outcome> {
    const answer = await perform(question, this.#parts.sessions);
    return outcomeOf(question.id, this.#parts.identity.id, answer);
  }
}

function doneOf({ refusal }: Outcome): SessionDone {
  return refusal === undefined ? { ok: true } : { err: refusal };
}

function isTooLarge(question: Question): boolean {
  return question.kind !== "kick" && question.data.length > MAX_PUSH_BYTES;
}

/** How many of the expected have not answered. */
function missing(expected: ReadonlySet<number>, outcomes: readonly Outcome[]): number {
  const answered = new Set(outcomes.map(({ worker }) => worker));
  return [...expected].filter((worker) => !answered.has(worker)).length;
}
