import { asBuffer } from "../as-buffer.ts";

/** What a struct holds: numbers, 64-bit integers, truth values and bytes. */
export type StructValue = number | bigint | boolean | Buffer;

/** What Node's buffers hold on every platform, and so the largest struct. */
export const MAX_BYTES = 2 ** 31 - 1;

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
