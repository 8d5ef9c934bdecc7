import { type Endian, type FixedField, shown } from "./field.ts";
import { decodeFloat16, encodeFloat16 } from "./float16.ts";

/** An integer that is a number. */
export function integer(letter: string, size: 1 | 2 | 4, signed: boolean, endian: Endian): FixedField {
  const min = signed ? -(2 ** (8 * size - 1)) : 0;
  const max = 2 ** (8 * size - (signed ? 1 : 0)) - 1;
  const { read, write } = INTEGERS[endian][signed ? "signed" : "unsigned"][size];
  return {
    kind: "fixed",
    letter,
    size,
    read,
    write(bytes, at, value) {
      if (typeof value !== "number" || !Number.isInteger(value)) return `${shown(value)} is no integer`;
      if (value < min || value > max) return `${value} is not between ${min} and ${max}`;
      write(bytes, at, value);
      return undefined;
    },
  };
}

interface IntegerAccess {
  readonly read: (bytes: Buffer, at: number) => number;
  readonly write: (bytes: Buffer, at: number, value: number) => void;
}

/** By size; a function of its own for each, because one for all sizes takes twice the time. */
type IntegersBySize = Readonly<Record<1 | 2 | 4, IntegerAccess>>;

const SIGNED_BYTE: IntegerAccess = {
  read: (bytes, at) => bytes.readInt8(at),
  write: (bytes, at, value) => bytes.writeInt8(value, at),
};
const BYTE: IntegerAccess = {
  read: (bytes, at) => bytes.readUInt8(at),
  write: (bytes, at, value) => bytes.writeUInt8(value, at),
};

const INTEGERS: Readonly<Record<Endian, Readonly<Record<"signed" | "unsigned", IntegersBySize>>>> = {
  little: {
    signed: {
      1: SIGNED_BYTE,
      2: { read: (bytes, at) => bytes.readInt16LE(at), write: (bytes, at, value) => bytes.writeInt16LE(value, at) },
      4: { read: (bytes, at) => bytes.readInt32LE(at), write: (bytes, at, value) => bytes.writeInt32LE(value, at) },
    },
    unsigned: {
      1: BYTE,
      2: { read: (bytes, at) => bytes.readUInt16LE(at), write: (bytes, at, value) => bytes.writeUInt16LE(value, at) },
      4: { read: (bytes, at) => bytes.readUInt32LE(at), write: (bytes, at, value) => bytes.writeUInt32LE(value, at) },
    },
  },
  big: {
    signed: {
      1: SIGNED_BYTE,
      2: { read: (bytes, at) => bytes.readInt16BE(at), write: (bytes, at, value) => bytes.writeInt16BE(value, at) },
      4: { read: (bytes, at) => bytes.readInt32BE(at), write: (bytes, at, value) => bytes.writeInt32BE(value, at) },
    },
    unsigned: {
      1: BYTE,
      2: { read: (bytes, at) => bytes.readUInt16BE(at), write: (bytes, at, value) => bytes.writeUInt16BE(value, at) },
      4: { read: (bytes, at) => bytes.readUInt32BE(at), write: (bytes, at, value) => bytes.writeUInt32BE(value, at) },
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
  const bits = INTEGERS[endian].unsigned[2];
  return {
    read: (bytes, at) => decodeFloat16(bits.read(bytes, at)),
    write(bytes, at, value) {
      const encoded = encodeFloat16(value);
      if (encoded !== undefined) bits.write(bytes, at, encoded);
      return encoded !== undefined;
    },
  };
}

function isSingle(value: number): boolean {
  return Number.isFinite(Math.fround(value)) || !Number.isFinite(value);
}
