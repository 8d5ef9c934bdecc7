import { asBuffer } from "../as-buffer.ts";
import { malformed, tooLarge } from "../codec.ts";
import { type CountedField, contentOf, type Field, type StructValue, shown } from "./field.ts";
import type { Layout, Measure } from "./layout.ts";

type Value = Exclude<Field, { readonly kind: "padding" }>;

/** The layout of values with ends that the bytes themselves tell: a zero, or a number in front. */
export function variableLayout(fields: readonly Field[], maxBytes: number): Layout {
  const values = fields.filter((field) => field.kind !== "padding");
  const least = values.map(leastOf);
  const size = least.reduce((sum, bytes) => sum + bytes, 0);
  return {
    size,
    isFixed: false,
    letters: values.map(({ letter }) => letter),
    start: () => measuring(values, size, maxBytes),
    read(bytes) {
      let at = 0;
      return values.map((field) => {
        const { value, end } = read(field, bytes, at);
        at = end;
        return value;
      });
    },
    write(given, fail) {
      const parts = values.map((field, index) => {
        const part = write(field, given[index]);
        return typeof part === "string" ? fail(index, part) : part;
      });
      const bytes = Buffer.concat(parts);
      if (bytes.length > maxBytes) throw new RangeError(`struct: ${bytes.length} bytes, more than ${maxBytes}`);
      return bytes;
    },
  };
}

function leastOf(field: Value): number {
  if (field.kind === "terminated") return 1;
  return field.kind === "counted" ? field.length.size : field.size;
}

/** Goes from value to value, and looks at no byte of them twice. `size`: of all values, the least bytes. */
function measuring(fields: readonly Value[], size: number, maxBytes: number): Measure {
  let index = 0;
  let at = 0;
  let seen = 0;
  let behind = size; // the least bytes of this value and those behind it
  return (bytes) => {
    for (let field = fields[index]; field; field = fields[index]) {
      const end = endOf(field, asBuffer(bytes), at, seen);
      if (typeof end === "string") return malformed(end);
      const rest = behind - leastOf(field);
      if (end + rest > maxBytes) return tooLarge(maxBytes);
      if (end > bytes.length) {
        seen = bytes.length;
        return { kind: "more", atLeast: end + rest, field: index };
      }
      index++;
      at = end;
      behind = rest;
    }
    return { kind: "whole", size: at };
  };
}

/** Where a value ends, at the earliest; or why it has no end. `seen` bytes hold no zero behind `at`. */
function endOf(field: Value, bytes: Buffer, at: number, seen: number): number | string {
  switch (field.kind) {
    case "fixed":
      return at + field.size;
    case "terminated": {
      const zero = bytes.indexOf(0, Math.max(at, seen));
      return (zero === -1 ? Math.max(at, bytes.length) : zero) + 1;
    }
    case "counted": {
      const start = at + field.length.size;
      if (start > bytes.length) return start;
      const length = lengthOf(field, bytes, at);
      return length < 0 ? `a length of ${length}` : start + length;
    }
    default:
      return field satisfies never;
  }
}

function lengthOf({ length }: CountedField, bytes: Buffer, at: number): number {
  return Number(length.read(bytes, at));
}

function read(field: Value, bytes: Buffer, at: number): { readonly value: StructValue; readonly end: number } {
  if (field.kind === "fixed") return { value: field.read(bytes, at), end: at + field.size };
  const isCounted = field.kind === "counted";
  const start = isCounted ? at + field.length.size : at;
  const end = isCounted ? start + lengthOf(field, bytes, at) : bytes.indexOf(0, at);
  return { value: Buffer.from(bytes.subarray(start, end)), end: isCounted ? end : end + 1 };
}

/** The bytes of a value, or why it has none. */
function write(field: Value, value: unknown): Buffer | string {
  if (field.kind === "fixed") {
    const bytes = Buffer.allocUnsafe(field.size);
    return field.write(bytes, 0, value) ?? bytes;
  }
  const content = contentOf(value);
  if (!content) return `${shown(value)} is neither bytes nor text`;
  if (field.kind === "terminated") {
    return content.includes(0) ? "a zero within the text would end it" : Buffer.concat([content, Buffer.alloc(1)]);
  }
  const length = Buffer.allocUnsafe(field.length.size);
  const fault = field.length.write(
    length,
    0,
    /^l$/i.test(field.length.letter) ? BigInt(content.length) : content.length,
  );
  return fault === undefined ? Buffer.concat([length, content]) : `its length ${fault}`;
}
