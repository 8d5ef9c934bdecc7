import { bytesOf, type Endian, type Field, type FixedField, MAX_BYTES, oneByte, pascal, truth } from "./field.ts";
import { bigInteger, float, integer } from "./number-field.ts";

/** Each value is compiled to a field of its own. More are a table, not a header. */
const MAX_VALUES = 65_536;

const NATIVE: Endian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? "little" : "big";
const ORDERS: ReadonlyMap<string, Endian> = new Map([
  ["@", NATIVE],
  ["=", NATIVE],
  ["<", "little"],
  [">", "big"],
  ["!", "big"],
]);

/** One letter, with its count in front where there is one. */
const ITEM = /\s*(?:(?<count>\d+)?(?<letter>[a-zA-Z?])|$)/y;

/**
 * The fields of a format in Python's letters (`struct`, "Format Strings").
 * @throws TypeError with the place of what is no format
 */
export function pythonFormat(format: string): Field[] {
  const order = format.slice(0, 1);
  const endian = ORDERS.get(order);
  const isNative = endian === undefined || order === "@";
  const fields: Field[] = [];
  for (const { count, letter, at } of itemsOf(format, endian ? 1 : 0)) {
    const added = fieldsOf(letter, count, { endian: endian ?? NATIVE, isNative });
    if (!added) throw new TypeError(`struct: bad char "${letter}" at ${at} of "${format}"`);
    if (fields.length + added.length > MAX_VALUES) throw new TypeError(`struct: more than ${MAX_VALUES} values`);
    for (const field of added) fields.push(field);
  }
  return fields;
}

interface Item {
  readonly count: number | undefined;
  readonly letter: string;
  readonly at: number;
}

function* itemsOf(format: string, start: number): Generator<Item> {
  const pattern = new RegExp(ITEM);
  pattern.lastIndex = start;
  while (pattern.lastIndex < format.length) {
    const at = pattern.lastIndex;
    const found = pattern.exec(format);
    if (!found) throw new TypeError(`struct: bad char at ${at} of "${format}"`);
    const { count, letter } = found.groups ?? {};
    if (letter === undefined) return; // blanks at the end
    const number = count === undefined ? undefined : Number(count);
    if (number !== undefined && number > MAX_BYTES) throw new TypeError(`struct: "${format}" is too long`);
    yield { count: number, letter, at: pattern.lastIndex - 1 };
  }
}

interface Order {
  readonly endian: Endian;
  readonly isNative: boolean;
}

/** Undefined: no such letter. */
function fieldsOf(letter: string, count: number | undefined, order: Order): Field[] | undefined {
  const written = `${count ?? ""}${letter}`;
  const size = count ?? 1;
  if (letter === "x") return [{ kind: "padding", size }];
  if (letter === "s") return [bytesOf(written, size, 0)];
  if (letter === "p") return size === 0 ? undefined : [pascal(written, size)]; // Python writes "0p" and cannot read it
  const field = numberField(letter, order);
  if (size > MAX_VALUES) throw new TypeError(`struct: more than ${MAX_VALUES} values`);
  return field && Array<Field>(size).fill(field);
}

/** Sizes are Python's standard ones in every order: those of this machine's C compiler are no protocol's. */
function numberField(letter: string, { endian, isNative }: Order): FixedField | undefined {
  switch (letter) {
    case "c":
      return oneByte;
    case "?":
      return truth;
    case "b":
    case "B":
      return integer(letter, 1, letter === "b", endian);
    case "h":
    case "H":
      return integer(letter, 2, letter === "h", endian);
    case "i":
    case "I":
    case "l":
    case "L":
      return integer(letter, 4, letter === "i" || letter === "l", endian);
    case "q":
    case "Q":
      return bigInteger(letter, letter === "q", endian);
    case "n":
    case "N":
      return isNative ? bigInteger(letter, letter === "n", endian) : undefined;
    case "e":
      return float(letter, 2, endian);
    case "f":
      return float(letter, 4, endian);
    case "d":
      return float(letter, 8, endian);
    default:
      return undefined;
  }
}
