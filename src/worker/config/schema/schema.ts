import * as v from "valibot";
import { MAX_TIMER_MS } from "../../../codecs/timer.ts";
import { messageOf } from "../../../errors.ts";
import { expected } from "../expectation.ts";

/** A schema that takes anything and says what is wrong with it. */
export type Schema<Output> = v.GenericSchema<unknown, Output>;

/** True for what has keys: an object, but no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value that the guard accepts, passed on as it is: it may be an object of the user with a life of its own. */
export function checked<Output>(is: (value: unknown) => value is Output, what: string): Schema<Output> {
  return v.custom<Output>(is, expected(what));
}

/** Text that is not empty and, where asked, keeps to a rule. */
export function text(what: string, rule: (value: string) => boolean = () => true): Schema<string> {
  return checked(textBy(rule), what);
}

/** Text which no message may show. */
export function secret(what: string, rule: (value: string) => boolean = () => true): Schema<string> {
  return v.custom<string>(textBy(rule), expected(what, { secret: true }));
}

function textBy(rule: (value: string) => boolean): (value: unknown) => value is string {
  return (value): value is string => typeof value === "string" && value !== "" && rule(value);
}

/** One of some words. */
export function oneOf<const Word extends string | number | boolean>(...words: readonly Word[]): Schema<Word> {
  const known = words.map(String);
  const is = (value: unknown): value is Word => words.some((word) => word === value);
  return v.custom<Word>(is, expected(listed(words.map((word) => JSON.stringify(word))), { known }));
}

function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

/** A whole number of a range. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER, unit = "a whole number"): Schema<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  return checked((value): value is number => isWhole(value) && value >= min && value <= max, `${unit} ${range}`);
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}

/** A time; 0 only where it has a meaning. */
export function milliseconds(min: 0 | 1 = 1): Schema<number> {
  return whole(min, MAX_TIMER_MS, "milliseconds");
}

/** nginx's stream statuses are HTTP's. */
export const status: Schema<number> = whole(100, 599);

export const flag: Schema<boolean> = checked((value) => typeof value === "boolean", "true or false");

/** A function of the user. Its parameters are for the types to check: they cannot be seen from outside. */
export function hook<Hook extends (...args: never[]) => unknown>(): Schema<Hook> {
  return checked((value): value is Hook => typeof value === "function", "a function");
}

/** A list, copied and frozen. */
export function list<Item>(item: Schema<Item>, what: string, { min = 0 } = {}): Schema<readonly Item[]> {
  return v.pipe(
    checked((value): value is unknown[] => Array.isArray(value) && value.length >= min, what),
    v.array(item),
    v.transform((items): readonly Item[] => Object.freeze(items)),
  );
}

/** Values by names which the user chose, copied and frozen. */
export function byName<Value>(
  value: Schema<Value>,
  what: string,
  { min = 0 } = {},
): Schema<Readonly<Record<string, Value>>> {
  return v.pipe(
    checked(
      (input): input is Record<string, unknown> => hasPlainNames(input) && Object.keys(input).length >= min,
      what,
    ),
    v.record(name, value, expected(what)),
    v.transform((record): Readonly<Record<string, Value>> => Object.freeze(record)),
  );
}

/** False for the names that valibot passes over, and that are no keys of their own everywhere in JavaScript. */
function hasPlainNames(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && !["__proto__", "prototype", "constructor"].some((key) => Object.hasOwn(value, key));
}

/** Names stand in log lines and in the output of commands, where white space separates. */
const name = v.custom<string>(
  (key) => typeof key === "string" && /^[^\s\p{Cc}]{1,255}$/u.test(key),
  "expected a name without white space, of 255 characters at most",
);

/** The keys of a shape. */
export type Entries = Readonly<Record<string, Schema<unknown> | v.ExactOptionalSchema<Schema<unknown>, undefined>>>;

/** What a shape gives: the values of its keys. */
export type Shaped<Of extends Entries> = Readonly<v.InferOutput<v.ObjectSchema<Of, undefined>>>;

/** An object with these keys and no other, copied and frozen. A key whose value is undefined counts as absent. */
export function shape<const Of extends Entries>(what: string, entries: Of): Schema<Shaped<Of>> {
  return v.pipe(
    checked(isRecord, what),
    v.transform((input) => aligned(input, entries)),
    v.objectWithRest(entries, v.never(Object.keys(entries).join(" ")), expected(what)),
    v.transform((output): Shaped<Of> => Object.freeze(output)),
  );
}

/** Takes absent optional keys out, and puts absent required ones in, so that their schema says what is missing. */
function aligned(input: Readonly<Record<string, unknown>>, entries: Entries): Record<string, unknown> {
  const present = Object.entries(input).filter(([, value]) => value !== undefined);
  const required = Object.entries(entries).filter(([, entry]) => entry.type !== "exact_optional");
  return { ...Object.fromEntries(required.map(([key]) => [key, undefined])), ...Object.fromEntries(present) };
}

/** A key that may be left out. */
export function maybe<Output>(schema: Schema<Output>): v.ExactOptionalSchema<Schema<Output>, undefined> {
  return v.exactOptional(schema);
}

/** Makes of what was written what it stands for; a TypeError of `make` becomes the message. */
export function made<Written, Output>(written: Schema<Written>, make: (written: Written) => Output): Schema<Output> {
  return v.pipe(
    written,
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return make(dataset.value);
      } catch (cause) {
        addIssue({ message: messageOf(cause) });
        return NEVER;
      }
    }),
  );
}

/** What is wrong between parts, each of which may be right. */
export interface Fault {
  /** From the value that was looked at. */
  readonly path: readonly [string | number, ...(string | number)[]];
  readonly text: string;
}

/** Looks for faults between the parts of a value, also when some parts are wrong themselves: nothing is sure of its type. */
export function together<Output>(
  schema: Schema<Output>,
  faultsOf: (value: unknown) => readonly Fault[],
): Schema<Output> {
  return v.pipe(
    schema,
    v.rawCheck(({ dataset, addIssue }) => {
      for (const { path, text } of faultsOf(dataset.value)) {
        const [first, ...more] = path.map(itemOf);
        if (first) addIssue({ message: text, path: [first, ...more] });
      }
    }),
  );
}

function itemOf(key: string | number): v.UnknownPathItem {
  return { type: "unknown", origin: "value", input: undefined, key, value: undefined };
}

/** Decides by the value itself which schema it must fulfil. Better messages than a union: only the meant one speaks. */
export function either<Output>(choose: (input: unknown) => Schema<Output>): Schema<Output> {
  return v.lazy(choose);
}
