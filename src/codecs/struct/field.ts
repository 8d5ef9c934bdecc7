import { asBuffer } from "../as-buffer.ts";
import { decodeFloat16, encodeFloat16 } from "./float16.ts";

/** What a struct holds: numbers, 64-bit integers, truth values and bytes. */
export type StructValue = number | bigint | boolean | Buffer;

export type Endian = "little" | "big";

/** A value whose size the format says. */
export interface FixedField {
  readonly kind: "fixed";
  /** As in the format, for errors. */
  readonly letter: string;
  readonly size: number;
  /** All its bytes are there. */
  read(bytes: Buffer, at: number): StructValue;
  /** Fills all its bytes, or says why the value cannot be written. */
  write(bytes: Buffer, at: number, value: unknown): string | undefined;
}

/** Zeros that are no value. */
export interface Padding {
  readonly kind: "padding";
  readonly size: number;
}

/** Bytes up to a zero, which is no part of them. */
export interface TerminatedField {
  readonly kind: "terminated";
  readonly letter: string;
}

/** As many bytes as the number in front of them says, which is no value of its own. */
export interface CountedField {
  readonly kind: "counted";
  readonly letter: string;
  readonly length: FixedField;
}

export type Field = FixedField | Padding | TerminatedField | CountedField;

/** An integer of up to 6 bytes. */
export function integer(letter: string, size: number, signed: boolean, endian: Endian): FixedField {
  const min = signed ? -(2 ** (8 * size - 1)) : 0;
  const max = 2 ** (8 * size - (signed ? 1 : 0)) - 1;
  const { read, write } = INTEGERS[endian][signed ? "signed" : "unsigned"];
  return {
    kind: "fixed",
    letter,
    size,
    read: (bytes, at) => read(bytes, at, size),
    write(bytes, at, value) {
      if (typeof value !== "number" || !Number.isInteger(value)) return `${shown(value)} is no integer`;
      if (value < min || value > max) return `${value} is not between ${min} and ${max}`;
      write(bytes, at, size, value);
      return undefined;
    },
  };
}

interface IntegerAccess {
  readonly read: (bytes: Buffer, at: number, size: number) => number;
  readonly write: (bytes: Buffer, at: number, size: number, value: number) => void;
}

const INTEGERS: Readonly<Record<Endian, Readonly<Record<"signed" | "unsigned", IntegerAccess>>>> = {
  little: {
    signed: {
      read: (bytes, at, size) => bytes.readIntLE(at, size),
      write: (bytes, at, size, value) => bytes.writeIntLE(value, at, size),
    },
    unsigned: {
      read: (bytes, at, size) => bytes.readUIntLE(at, size),
      write: (bytes, at, size, value) => bytes.writeUIntLE(value, at, size),
    },
  },
  big: {
    signed: {
      read: (bytes, at, size) => bytes.readIntBE(at, size),
      write: (bytes, at, size, value) => bytes.writeIntBE(value, at, size),
    },
    unsigned: {
      read: (bytes, at, size) => bytes.readUIntBE(at, size),
      write: (bytes, at, size, value) => bytes.writeUIntBE(value, at, size),
    },
  },
};

const BITS = 64;

/** An integer of 8 bytes; a number that is a safe integer may be written, too. */
export function bigInteger(letter: string, signed: boolean, endian: Endian): FixedField {
  const min = signed ? -(2n ** 63n) : 0n;
  const max = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  return {
    kind: "fixed",
    letter,
    size: 8,
    read(bytes, at) {
      if (signed) return endian === "little" ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at);
      return endian === "little" ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at);
    },
    write(bytes, at, value) {
      const whole = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof whole !== "bigint") return `${shown(value)} is no bigint`;
      if (whole < min || whole > max) return `${whole} is not between ${min} and ${max}`;
      const bits = BigInt.asUintN(BITS, whole);
      if (endian === "little") bytes.writeBigUInt64LE(bits, at);
      else bytes.writeBigUInt64BE(bits, at);
      return undefined;
    },
  };
}

/** A float of 2, 4 or 8 bytes. What only an infinity would be near to is refused. */
export function float(letter: string, size: 2 | 4 | 8, endian: Endian): FixedField {
  const { read, write } = FLOATS[endian][size];
  return {
    kind: "fixed",
    letter,
    size,
    read,
    write(bytes, at, value) {
      if (typeof value !== "number") return `${shown(value)} is no number`;
      return write(bytes, at, value) ? undefined : `${value} is too large for ${size} bytes`;
    },
  };
}

interface FloatAccess {
  readonly read: (bytes: Buffer, at: number) => number;
  readonly write: (bytes: Buffer, at: number, value: number) => boolean;
}

const FLOATS: Readonly<Record<Endian, Readonly<Record<2 | 4 | 8, FloatAccess>>>> = {
  little: {
    2: half("little"),
    4: {
      read: (bytes, at) => bytes.readFloatLE(at),
      write: (bytes, at, value) => isSingle(value) && bytes.writeFloatLE(value, at) > 0,
    },
    8: { read: (bytes, at) => bytes.readDoubleLE(at), write: (bytes, at, value) => bytes.writeDoubleLE(value, at) > 0 },
  },
  big: {
    2: half("big"),
    4: {
      read: (bytes, at) => bytes.readFloatBE(at),
      write: (bytes, at, value) => isSingle(value) && bytes.writeFloatBE(value, at) > 0,
    },
    8: { read: (bytes, at) => bytes.readDoubleBE(at), write: (bytes, at, value) => bytes.writeDoubleBE(value, at) > 0 },
  },
};

function half(endian: Endian): FloatAccess {
  const bits = integer("e", 2, false, endian);
  return {
    read: (bytes, at) => decodeFloat16(Number(bits.read(bytes, at))),
    write(bytes, at, value) {
      const encoded = encodeFloat16(value);
      return encoded !== undefined && bits.write(bytes, at, encoded) === undefined;
    },
  };
}

function isSingle(value: number): boolean {
  return Number.isFinite(Math.fround(value)) || !Number.isFinite(value);
}

/** A byte that is not zero, or zero. */
export const truth: FixedField = {
  kind: "fixed",
  letter: "?",
  size: 1,
  read: (bytes, at) => bytes[at] !== 0,
  write(bytes, at, value) {
    if (typeof value !== "boolean") return `${shown(value)} is no boolean`;
    bytes[at] = value ? 1 : 0;
    return undefined;
  },
};

/** Exactly one byte, as bytes. */
export const oneByte: FixedField = bytesField("c", 1, (content, bytes, at) => {
  if (content.length !== 1) return `${content.length} bytes are not one`;
  content.copy(bytes, at);
  return undefined;
});

/** So many bytes: more are cut off, fewer filled up. */
export function bytesOf(letter: string, size: number, filler: number): FixedField {
  return bytesField(letter, size, (content, bytes, at) => {
    const copied = content.copy(bytes, at, 0, size);
    bytes.fill(filler, at + copied, at + size);
    return undefined;
  });
}

function bytesField(
  letter: string,
  size: number,
  put: (content: Buffer, bytes: Buffer, at: number) => string | undefined,
): FixedField {
  return {
    kind: "fixed",
    letter,
    size,
    read: (bytes, at) => Buffer.from(bytes.subarray(at, at + size)),
    write(bytes, at, value) {
      const content = contentOf(value);
      return content ? put(content, bytes, at) : `${shown(value)} is neither bytes nor text`;
    },
  };
}

/** A Pascal string: a byte of length, then up to 255 bytes within `size`. What does not fit is cut off. */
export function pascal(letter: string, size: number): FixedField {
  const most = Math.min(size - 1, 255);
  return {
    kind: "fixed",
    letter,
    size,
    read(bytes, at) {
      const length = Math.min(bytes[at] ?? 0, size - 1);
      return Buffer.from(bytes.subarray(at + 1, at + 1 + length));
    },
    write(bytes, at, value) {
      const content = contentOf(value);
      if (!content) return `${shown(value)} is neither bytes nor text`;
      const copied = content.copy(bytes, at + 1, 0, most);
      bytes[at] = copied;
      bytes.fill(0, at + 1 + copied, at + size);
      return undefined;
    },
  };
}

/** The bytes of a text (UTF-8) or of bytes; undefined for anything else. */
export function contentOf(value: unknown): Buffer | undefined {
  if (typeof value === "string") return Buffer.from(value);
  return value instanceof Uint8Array ? asBuffer(value) : undefined;
}

/** A value as an error names it: never the content of bytes or text, which may be a secret. */
export function shown(value: unknown): string {
  const isPlain = typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
  return isPlain || value === undefined || value === null ? String(value) : `a ${typeof value}`;
}
