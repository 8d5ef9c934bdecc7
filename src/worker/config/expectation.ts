import type { BaseIssue } from "valibot";
import { nearest } from "./nearest.ts";

interface Expectation {
  /** Words that would have been right, to guess which one was meant. */
  readonly known?: readonly string[];
  /** The value must not be shown: it may be a password or a key. */
  readonly secret?: boolean;
}

/** Makes the text of an error: what was expected, what was there, and what was probably meant. */
export function expected(what: string, options: Expectation = {}): (issue: BaseIssue<unknown>) => string {
  const { known = [], secret = false } = options;
  return ({ input }) => {
    const meant = typeof input === "string" && !secret ? nearest(input, known) : undefined;
    const hint = meant === undefined ? "" : `; did you mean ${JSON.stringify(meant)}?`;
    return `expected ${what}, got ${secret ? kindOf(input) : show(input)}${hint}`;
  };
}

/** The text for a key that nothing knows. */
export function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  if (known.length === 0) return "unknown key, expected none";
  return `unknown key, ${meant === undefined ? `expected one of ${known.join(", ")}` : `did you mean "${meant}"?`}`;
}

/** Longer texts are cut in messages: the place is known by its path. */
const MAX_SHOWN = 60;

/** Text which is secret wherever it stands: PEM, and URLs with a password. */
const SECRET = /-----BEGIN |:\/\/[^/\s]*@/;

function show(value: unknown): string {
  if (typeof value === "string" && value !== "" && !SECRET.test(value)) {
    return JSON.stringify(value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value);
  }
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  return kindOf(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === "") return "empty text";
  if (typeof value === "string") return `text of ${value.length} characters`;
  if (typeof value !== "object" || value === null) return value === null ? "null" : `a ${typeof value}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (value instanceof RegExp) return "a regular expression";
  return Object.keys(value).length === 0 ? "an empty object" : "an object";
}
