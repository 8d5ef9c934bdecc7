import { bytesOf, type Endian, type Field, type FixedField, MAX_BYTES } from "./field.ts";
import { bigInteger, float, integer } from "./number-field.ts";

const ITEM = /\s*(?:(?<order>[<>])|c(?<size>\d+)|(?<letter>[a-zA-Z])|$)/y;
const SPACE = 0x20;
const INTEGER = /^[bhil]$/i;

/**
 * The fields of a format in the letters of lua-struct: little-endian until told otherwise, `l` and `L` with 8 bytes, `s` up
 * to a zero, `cN` with so many bytes, `c0` with as many as the integer in front of it says.
 * @throws TypeError with the place of what is no format
 */
export function luaFormat(format: string): Field[] {
  const pattern = new RegExp(ITEM);
  const fields: Field[] = [];
  let endian: Endian = "little";
  while (pattern.lastIndex < format.length) {
    const at = pattern.lastIndex;
    const { order, size, letter } = pattern.exec(format)?.groups ?? {};
    if (order !== undefined) endian = order === "<" ? "little" : "big";
    else if (size !== undefined) fields.push(Number(size) > 0 ? fixedBytes(size) : counted(fields.pop(), format, at));
    else if (letter !== undefined) fields.push(fieldOf(letter, endian, `"${format}" at ${at}`));
    else if (pattern.lastIndex < format.length) throw new TypeError(`struct: bad char at ${at} of "${format}"`);
  }
  return fields;
}

function fixedBytes(size: string): FixedField {
  if (Number(size) > MAX_BYTES) throw new TypeError(`struct: c${size} is too long`);
  return bytesOf(`c${size}`, Number(size), SPACE);
}

function counted(length: Field | undefined, format: string, at: number): Field {
  if (length?.kind !== "fixed" || !INTEGER.test(length.letter)) {
    throw new TypeError(`struct: no integer in front of c0 at ${at} of "${format}"`);
  }
  return { kind: "counted", letter: "c0", length };
}

function fieldOf(letter: string, endian: Endian, place: string): Field {
  switch (letter) {
    case "b":
    case "B":
      return integer(letter, 1, letter === "b", endian);
    case "h":
    case "H":
      return integer(letter, 2, letter === "h", endian);
    case "i":
    case "I":
      return integer(letter, 4, letter === "i", endian);
    case "l":
    case "L":
      return bigInteger(letter, letter === "l", endian);
    case "f":
      return float(letter, 4, endian);
    case "d":
      return float(letter, 8, endian);
    case "s":
      return { kind: "terminated", letter };
    default:
      throw new TypeError(`struct: bad char "${letter}": ${place}`);
  }
}
