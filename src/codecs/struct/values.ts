import type { StructValue } from "./field.ts";

/** What a letter of Python's stands for. */
interface Letters {
  readonly c: Buffer;
  readonly "?": boolean;
  readonly b: number;
  readonly B: number;
  readonly h: number;
  readonly H: number;
  readonly i: number;
  readonly I: number;
  readonly l: number;
  readonly L: number;
  readonly q: bigint;
  readonly Q: bigint;
  readonly n: bigint;
  readonly N: bigint;
  readonly e: number;
  readonly f: number;
  readonly d: number;
}

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

/** The values of a format in Python's letters, one by one: `"<2HQ4s"` has `[number, number, bigint, Buffer]`. */
export type ValuesOf<Format extends string> = string extends Format ? readonly StructValue[] : Parsed<Format>;

/** `Count` are the digits in front of the letter at hand. */
type Parsed<
  Rest extends string,
  Count extends string = "",
  Found extends readonly StructValue[] = readonly [],
> = Rest extends `${infer First}${infer Next}`
  ? First extends Digit
    ? Parsed<Next, `${Count}${First}`, Found>
    : First extends "s" | "p"
      ? Parsed<Next, "", readonly [...Found, Buffer]>
      : First extends keyof Letters
        ? Parsed<Next, "", readonly [...Found, ...Repeated<Letters[First], Count>]>
        : Parsed<Next, "", Found> // padding, an order, blanks
  : Found;

/** So many values of one kind; from a hundred on the compiler does not count them. */
type Repeated<Value, Count extends string> = Count extends ""
  ? readonly [Value]
  : Count extends `${Digit}${Digit}${Digit}${string}`
    ? readonly Value[]
    : Times<Value, Count extends `0${infer Last extends Digit}` ? Last : Count>;

type Times<
  Value,
  Count extends string,
  Found extends readonly Value[] = readonly [],
> = `${Found["length"]}` extends Count ? Found : Times<Value, Count, readonly [...Found, Value]>;

/** The values by names. A name that has no value, or of a format that is not known, may have any. */
export type Named<Names extends readonly string[], Values extends readonly unknown[]> = {
  readonly [Index in Exclude<keyof Names, keyof (readonly unknown[])> as Names[Index] &
    string]: Index extends keyof Values ? Values[Index] : StructValue;
};

/** What may be packed in the place of values: text and any bytes for bytes, safe integers for bigints. */
export type Packable<Values> = { readonly [Key in keyof Values]: PackableValue<Values[Key]> };

type PackableValue<Value> = Value extends Buffer ? Uint8Array | string : Value extends bigint ? bigint | number : Value;
