import { asBuffer } from "../as-buffer.ts";
import { type Codec, type Decode, type Decoded, frame, malformed, needs, remembering } from "../codec.ts";
import type { StructValue } from "./field.ts";
import { pythonFormat } from "./format.ts";
import { areFixed, type Fail, fixedLayout, type Layout, type Measured } from "./layout.ts";
import { luaFormat } from "./lua-format.ts";
import type { Named, Packable, ValuesOf } from "./values.ts";
import { variableLayout } from "./variable-layout.ts";

/** Whose letters a format uses, and how large a struct may become. */
export interface StructOptions {
  /** `"lua"`: those of lua-struct, with zero-terminated text (`s`), `cN` and `c0`. Default `"python"`. */
  readonly dialect?: "python" | "lua";
  /** The largest struct, where its size depends on the bytes (`s` and `c0` of lua-struct). Default 65,536. */
  readonly maxBytes?: number;
  /** The codec's name, for errors. Default `"struct"`. */
  readonly name?: string;
}

/**
 * A format, compiled. As a codec its frames are structs, one behind the other: `decode` never throws, and says how many bytes
 * are missing. `pack` and `encode` throw TypeError with the field's name on a value that the format does not have.
 */
export interface Struct<Values, Arguments extends readonly unknown[]> extends Codec<Values> {
  /** Bytes of a struct; the least, where that depends on the bytes. Python: `calcsize`. */
  readonly size: number;
  /** How many bytes a struct that begins like this has, at least: not more than there are once it is whole. */
  needed(bytes: Uint8Array): number;
  pack(...values: Arguments): Buffer;
  /** The values of exactly these bytes. Throws RangeError on fewer, with the field's name, and on more. */
  unpack(bytes: Uint8Array): Values;
  /** The values of the struct that begins at `offset` (default 0), whatever stands behind it. Throws RangeError on fewer bytes. */
  unpackFrom(bytes: Uint8Array, offset?: number): Values;
}

/** The values are an array, and the arguments of `pack`. */
export type PlainStruct<Values extends readonly unknown[]> = Struct<Values, Packable<Values>>;

/** The values are an object, the one argument of `pack`. */
export type NamedStruct<Values> = Struct<Values, readonly [values: Packable<Values>]>;

/** The values of a format in Python's letters are known to the compiler. */
type ValuesBy<Format extends string, Options> = Options extends { readonly dialect: "lua" }
  ? readonly StructValue[]
  : ValuesOf<Format>;

/** As msgpack's messages: one waiting session may hold as much. */
const MAX_BYTES = 65_536;

/**
 * Values in a fixed binary shape, by the letters of Python's struct module: `struct("<IH8s")` has arrays of values,
 * `struct("<IH8s", ["id", "kind", "name"])` objects. Numbers are numbers, integers of 64 bits bigints, `c`, `s` and `p` Buffers.
 * `@`, or no order, is the byte order of this machine, with standard sizes and without alignment.
 * @throws TypeError on what is no format, and unless there is one name for each value
 */
export function struct<
  const Format extends string,
  const Names extends readonly string[],
  const Options extends StructOptions = StructOptions,
>(format: Format, names: Names, options?: Options): NamedStruct<Named<Names, ValuesBy<Format, Options>>>;
export function struct<const Format extends string, const Options extends StructOptions = StructOptions>(
  format: Format,
  options?: Options,
): PlainStruct<ValuesBy<Format, Options>>;
export function struct(
  format: string,
  second: readonly string[] | StructOptions = {},
  third: StructOptions = {},
): Struct<unknown, readonly unknown[]> {
  const [names, options] = isNames(second) ? [second, third] : [undefined, second];
  const layout = layoutOf(format, options);
  const shape = names ? namedShape(names, layout) : plainShape(layout);
  return structOf(layout, shape, options.name ?? "struct");
}

function isNames(given: readonly string[] | StructOptions): given is readonly string[] {
  return Array.isArray(given);
}

function layoutOf(format: string, { dialect = "python", maxBytes = MAX_BYTES }: StructOptions): Layout {
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError(`struct: maxBytes is ${maxBytes}`);
  const fields = dialect === "lua" ? luaFormat(format) : pythonFormat(format);
  return areFixed(fields) ? fixedLayout(fields) : variableLayout(fields, maxBytes);
}

/** How users see the values of a layout. */
interface Shape {
  /** What an error calls a value. */
  label(index: number): string;
  /** From the values in their order to the user's. */
  out(values: readonly StructValue[]): unknown;
  /** Back again. */
  back(values: unknown): readonly unknown[];
  /** The arguments of `pack` as one. */
  gathered(values: readonly unknown[]): unknown;
}

function plainShape({ letters }: Layout): Shape {
  return {
    label: (index) => `value ${index + 1} (${letters[index]})`,
    out: (values) => values,
    back(values) {
      if (!Array.isArray(values)) throw new TypeError("struct: the values are no array");
      if (values.length === letters.length) return values;
      throw new TypeError(`struct: ${values.length} values for ${letters.length}`);
    },
    gathered: (values) => values,
  };
}

function namedShape(names: readonly string[], { letters }: Layout): Shape {
  if (names.length !== letters.length)
    throw new TypeError(`struct: ${names.length} names for ${letters.length} values`);
  const twice = names.find((name, index) => name === "__proto__" || names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`struct: "${twice}" cannot be a name, or is one already`);
  return {
    label: (index) => `${names[index]} (${letters[index]})`,
    out(values) {
      const named: Record<string, StructValue | undefined> = {};
      for (let index = 0; index < names.length; index++) named[names[index] ?? ""] = values[index];
      return named;
    },
    back(values) {
      if (typeof values !== "object" || values === null) throw new TypeError("struct: the values are no object");
      return names.map((name) => Reflect.get(values, name));
    },
    gathered: ([values]) => values,
  };
}

function structOf(layout: Layout, shape: Shape, name: string): Struct<unknown, readonly unknown[]> {
  const fail: Fail = (index, fault) => {
    throw new TypeError(`${name}: ${shape.label(index)}: ${fault}`);
  };
  const valuesOf = (bytes: Uint8Array): unknown => shape.out(layout.read(asBuffer(bytes)));
  const decoder = (): Decode<unknown> => {
    const measure = layout.start();
    return (bytes) => decodedOf(measure(bytes), () => valuesOf(bytes));
  };
  /** The bytes of one struct, or an error with the name of the field that they end in. */
  const sizeOf = (bytes: Uint8Array): number => {
    const measured = layout.start()(bytes);
    if (measured.kind === "whole") return measured.size;
    if (measured.kind === "malformed") throw new RangeError(`${name}: ${measured.reason}`);
    const { field, atLeast } = measured;
    throw new RangeError(`${name}: too few bytes for ${shape.label(field)}: ${bytes.length}, not ${atLeast}`);
  };
  const encode = (values: unknown): Buffer => layout.write(shape.back(values), fail);
  const codec: Codec<unknown> = { name, decode: (bytes) => decoder()(bytes), encode };
  return {
    ...codec,
    encode,
    ...(!layout.isFixed && { begin: () => remembering(codec, decoder) }),
    size: layout.size,
    needed: (bytes) => neededOf(layout.start()(bytes), bytes.length),
    pack: (...values) => encode(shape.gathered(values)),
    unpack(bytes) {
      const size = sizeOf(bytes);
      if (size < bytes.length) throw new RangeError(`${name}: ${bytes.length - size} bytes too many`);
      return valuesOf(bytes);
    },
    unpackFrom(bytes, offset = 0) {
      const rest = bytes.subarray(offset);
      sizeOf(rest);
      return valuesOf(rest);
    },
  };
}

/** A frame has a byte at least: of structs without any there would be no end. */
function decodedOf(measured: Measured, values: () => unknown): Decoded<unknown> {
  if (measured.kind === "more") return needs(measured.atLeast);
  if (measured.kind === "malformed") return measured;
  return measured.size === 0 ? malformed("a format without bytes") : frame(values(), measured.size);
}

function neededOf(measured: Measured, length: number): number {
  if (measured.kind === "malformed") return length; // more bytes would not help
  return measured.kind === "more" ? measured.atLeast : measured.size;
}
