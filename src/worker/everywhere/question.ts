import { type Answer, type Heard, type Request, readFrame } from "../link/frame.ts";

/** What one worker asks of the sessions of others, and how they answer. */
export const QUESTIONS = "~sessions";
export const ANSWERS = "~sessions-done";

/** What may be asked of sessions wherever they are: as game servers ask over links. */
export type Question = Extract<Request, { readonly kind: "push" | "kick" | "broadcast" }>;

/** What came of it at one worker. */
export interface Outcome {
  /** Number of the question. */
  readonly id: string;
  /** Id of the worker that answers. */
  readonly worker: number;
  /** Why it was not done; undefined: it was. */
  readonly refusal: string | undefined;
  /** Of a broadcast. */
  readonly sessions: number;
  readonly refused: number;
}

/** A question as an event's data; bytes are written as base64. */
export function writeQuestion(id: string, question: Question): object {
  const { kind: type, ...fields } = question;
  return { ...fields, type, id, ...("data" in question && { data: Buffer.from(question.data).toString("base64") }) };
}

/** A question out of an event; undefined: it is none. Its id is text. */
export function readQuestion(data: unknown): (Question & { readonly id: string }) | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const bytes = "data" in data && typeof data.data === "string" ? Buffer.from(data.data, "base64") : undefined;
  const heard = readFrame(bytes ? { ...data, data: bytes } : data);
  return isQuestion(heard) && typeof heard.id === "string" ? { ...heard, id: heard.id } : undefined;
}

/** What hooks ask, checked by the rules of links. @throws TypeError */
export function questionOf(frame: object): Question {
  const heard = readFrame(frame);
  if (isQuestion(heard)) return heard;
  throw new TypeError(heard.kind === "wrong" ? heard.reason : `unexpected ${heard.kind}`);
}

function isQuestion(heard: Heard): heard is Question {
  return heard.kind === "push" || heard.kind === "kick" || heard.kind === "broadcast";
}

/** What a link would answer, for whoever asks from afar. */
export function outcomeOf(id: string, worker: number, answer: Answer | undefined): Outcome {
  if (answer?.type === "refused") return { id, worker, refusal: answer.reason, sessions: 0, refused: 0 };
  const { sessions = 0, refused = 0 } = answer?.type === "done" ? answer : {};
  return { id, worker, refusal: undefined, sessions, refused };
}

/** An outcome out of an event; undefined: it is none. */
export function readOutcome(data: unknown): Outcome | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { id, worker, refusal, sessions, refused }: Readonly<Record<string, unknown>> = { ...data };
  if (typeof id !== "string" || typeof worker !== "number") return undefined;
  if (typeof sessions !== "number" || typeof refused !== "number") return undefined;
  return { id, worker, refusal: typeof refusal === "string" ? refusal : undefined, sessions, refused };
}
