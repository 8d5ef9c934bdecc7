import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { isFlags, isTime } from "./arguments.ts";
import { keyFault } from "./key.ts";
import type { Kept } from "./peek.ts";
import type { DictValue, ListValue } from "./shared-dict.ts";

// A snapshot is lines of JSON: what it is and when it was made; each key with value, flags and milliseconds left; how many
// keys there were, and the SHA-256 of all lines before. What JSON has no word for stands in an object: {"bytes":base64},
// {"number":"NaN"}, {"list":[…]}.

const FORMAT = "dict 2";

/** Numbers that JSON has no word for. */
const ODD_NUMBERS: readonly unknown[] = ["NaN", "Infinity", "-Infinity", "-0"];

/** Bytes read at once. */
const READ_BYTES = 64 * 1024;

/** The longest line: the largest value is 16 MiB, and JSON writes up to six characters for one. More is no snapshot. */
const MAX_LINE_BYTES = 128 * 1024 ** 2;

const LF = 0x0a;

/** An entry of a snapshot. `ttlMs` is what is left now; undefined: nothing. */
export type SnapshotEntry = {
  readonly key: string;
  readonly flags: number;
  readonly ttlMs: number | undefined;
} & Content;
type Content =
  | { readonly kind: "value"; readonly value: DictValue }
  | { readonly kind: "list"; readonly items: readonly ListValue[] };

export function snapshotHead(): string {
  return `${JSON.stringify({ restyconf: FORMAT, savedAt: Date.now() })}\n`;
}

export function snapshotEnd(entries: number, sha256: string): string {
  return `${JSON.stringify({ entries, sha256 })}\n`;
}

export function lineOf(key: string, kept: Kept): string {
  const content = kept.kind === "list" ? { list: kept.items.map(written) } : written(kept.value);
  return `${JSON.stringify([key, content, kept.flags, kept.ttlMs])}\n`;
}

function written(value: DictValue): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("base64") };
  if (typeof value !== "number") return value;
  if (Object.is(value, -0)) return { number: "-0" };
  return Number.isFinite(value) ? value : { number: String(value) };
}

/** The entries of a file that is open. @throws Error with `path` and line where it is no snapshot, or not as it was written */
export async function* linesOf(file: FileHandle, path: string): AsyncGenerator<SnapshotEntry> {
  const digest = createHash("sha256");
  let number = 0;
  let passedMs: number | undefined;
  let isAtEnd = false;
  for await (const line of rawLines(file)) {
    const damaged = (): Error => new Error(`${path}:${++number}: damaged snapshot`);
    const value = line && parsed(line);
    if (line === undefined || isAtEnd) throw damaged();
    if (passedMs === undefined) {
      passedMs = passedSince(value);
      if (passedMs === undefined) throw damaged();
    } else if (Array.isArray(value)) {
      const entry = entryOf(value, passedMs);
      if (entry === undefined) throw damaged();
      yield entry;
    } else {
      isAtEnd = fieldOf(value, "entries") === number - 1 && fieldOf(value, "sha256") === digest.digest("hex");
      if (!isAtEnd) throw damaged();
    }
    if (!isAtEnd) digest.update(line);
    number++;
  }
  if (!isAtEnd) throw new Error(`${path}:${number + 1}: damaged snapshot: it has no end`);
}

/** Lines with their ends, byte for byte; undefined, as the last: one that is too long, or has no end. */
async function* rawLines(file: FileHandle): AsyncGenerator<Buffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (let position = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, position);
    let begin = 0;
    for (let end = lineEnd(buffer, begin, bytesRead); end > 0; end = lineEnd(buffer, begin, bytesRead)) {
      yield Buffer.concat([...parts.splice(0), buffer.subarray(begin, end)]);
      [begin, bytes] = [end, 0];
    }
    if (begin < bytesRead) parts.push(buffer.subarray(begin, bytesRead));
    bytes += bytesRead - begin;
    position += bytesRead;
    if (bytes > MAX_LINE_BYTES || (bytesRead === 0 && bytes > 0)) yield undefined;
    if (bytesRead === 0) return;
  }
}

/** Behind the next end of a line in what was read; 0: there is none. */
function lineEnd(buffer: Buffer, from: number, bytesRead: number): number {
  const end = buffer.subarray(0, bytesRead).indexOf(LF, from);
  return end + 1;
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    return undefined;
  }
}

/** The clock of the machine may have been set back meanwhile; time does not. */
function passedSince(head: unknown): number | undefined {
  const savedAt = fieldOf(head, "savedAt");
  if (typeof savedAt !== "number" || fieldOf(head, "restyconf") !== FORMAT) return undefined;
  return Math.max(0, Date.now() - savedAt);
}

function entryOf(line: readonly unknown[], passedMs: number): SnapshotEntry | undefined {
  const [key, content, flags, ttlMs] = line;
  if (typeof key !== "string" || keyFault(key) !== undefined || !isFlags(flags) || !isTime(ttlMs)) return undefined;
  const read = contentOf(content);
  if (read === undefined) return undefined;
  return { ...read, key, flags, ttlMs: ttlMs === 0 ? 0 : ttlMs > passedMs ? ttlMs - passedMs : undefined };
}

function contentOf(content: unknown): Content | undefined {
  const list = fieldOf(content, "list");
  if (!Array.isArray(list)) {
    const value = valueFrom(content);
    return value === undefined ? undefined : { kind: "value", value };
  }
  const items = list.map(valueFrom).filter((item) => typeof item === "string" || typeof item === "number");
  return items.length === list.length ? { kind: "list", items } : undefined;
}

function valueFrom(content: unknown): DictValue | undefined {
  if (typeof content === "boolean" || typeof content === "number" || typeof content === "string") return content;
  const text = fieldOf(content, "bytes");
  if (typeof text === "string") {
    const bytes = Buffer.from(text, "base64");
    return bytes.toString("base64") === text ? bytes : undefined;
  }
  const number = fieldOf(content, "number");
  return ODD_NUMBERS.includes(number) ? Number(number) : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
