import type { malformed } from "../codec.ts";
import { type Field, type FixedField, MAX_BYTES, type Padding, type StructValue } from "./field.ts";

/** How far bytes go: to the end of the struct, or to a field that they end in. */
export type Measured =
  | { readonly kind: "whole"; readonly size: number }
  | { readonly kind: "more"; readonly atLeast: number; readonly field: number }
  | ReturnType<typeof malformed>;

/** Measures growing bytes: asked again with more behind the same ones, it goes on where it stopped. */
export type Measure = (bytes: Uint8Array) => Measured;

/** A format with everything looked up. */
export interface Layout {
  /** The least bytes. */
  readonly size: number;
  readonly isFixed: boolean;
  /** Of each value, its letter. */
  readonly letters: readonly string[];
  start(): Measure;
  /** The values of bytes that have been measured as a whole. */
  read(bytes: Buffer): StructValue[];
  /** `fail` is told of the value that cannot be written, and throws. */
  write(values: readonly unknown[], fail: Fail): Buffer;
}

export type Fail = (field: number, fault: string) => never;

/** Whether each value of a format always has the same place. */
export function areFixed(fields: readonly Field[]): fields is readonly (FixedField | Padding)[] {
  return fields.every(({ kind }) => kind === "fixed" || kind === "padding");
}

interface Place {
  readonly at: number;
  readonly field: FixedField;
}

/** The layout of values that have always the same places: nothing is looked for, nothing depends on the bytes. */
export function fixedLayout(fields: readonly (FixedField | Padding)[]): Layout {
  const places: Place[] = [];
  const paddings: { readonly at: number; readonly end: number }[] = [];
  let size = 0;
  for (const field of fields) {
    if (field.kind === "fixed") places.push({ at: size, field });
    else paddings.push({ at: size, end: size + field.size });
    size += field.size;
    if (size > MAX_BYTES) throw new TypeError(`struct: more than ${MAX_BYTES} bytes`);
  }
  const whole = { kind: "whole", size } as const;
  const measure: Measure = ({ length }) => {
    if (length >= size) return whole;
    const field = places.findIndex((place) => place.at + place.field.size > length);
    return { kind: "more", atLeast: size, field };
  };
  return {
    size,
    isFixed: true,
    letters: places.map(({ field }) => field.letter),
    start: () => measure,
    read(bytes) {
      const values: StructValue[] = [];
      for (const { at, field } of places) values.push(field.read(bytes, at));
      return values;
    },
    write(values, fail) {
      const bytes = Buffer.allocUnsafe(size);
      for (const { at, end } of paddings) bytes.fill(0, at, end);
      for (let index = 0; index < places.length; index++) {
        const place = places[index];
        const fault = place?.field.write(bytes, place.at, values[index]);
        if (fault !== undefined) fail(index, fault);
      }
      return bytes;
    },
  };
}
