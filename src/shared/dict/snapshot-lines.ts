import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Kept } from "./peek.ts";
import type { DictValue, ListValue } from "./shared-dict.ts";

// A snapshot is lines of JSON: what it is and when it was made; each key with value, flags and milliseconds left; how many
// keys there were. What JSON has no word for stands in an object: {"bytes":base64}, {"number":"NaN"}, {"list":[…]}.

const FORMAT = "dict 1";

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

export function snapshotEnd(entries: number): string {
  return `${JSON.stringify({ entries })}\n`;
}

export function lineOf(key: string, kept: Kept): string {
  const content = kept.kind === "list" ? { list: kept.items.map(written) } : written(kept.value);
  return `${JSON.stringify([key, content, kept.flags, kept.ttlMs]).replace(LINE_ENDS, escaped)}\n`;
}

/** Newer versions of Node end a line at these, too, which JSON leaves as they are. */
const LINE_ENDS = /[\u2028\u2029]/g;

function escaped(end: string): string {
  return end === "\u2028" ? "\\u2028" : "\\u2029";
}

function written(value: DictValue): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("base64") };
  if (typeof value !== "number") return value;
  if (Object.is(value, -0)) return { number: "-0" };
  return Number.isFinite(value) ? value : { number: String(value) };
}

/** The entries of a file. @throws Error with file and line where it is no snapshot, or not a whole one */
export async function* linesOf(path: string): AsyncGenerator<SnapshotEntry> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  let passedMs: number | undefined;
  let expected: number | undefined;
  for await (const line of lines) {
    const damaged = (): Error => new Error(`${path}:${++number}: damaged snapshot`);
    const value = parsed(line);
    if (passedMs === undefined) {
      passedMs = passedSince(value);
      if (passedMs === undefined) throw damaged();
    } else if (Array.isArray(value) && expected === undefined) {
      const entry = entryOf(value, passedMs);
      if (entry === undefined) throw damaged();
      yield entry;
    } else {
      expected = numberIn(value, "entries");
      if (expected !== number - 1) throw damaged();
    }
    number++;
  }
  if (expected === undefined) throw new Error(`${path}:${number + 1}: damaged snapshot: it has no end`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The clock of the machine may have been set back meanwhile; time does not. */
function passedSince(head: unknown): number | undefined {
  const savedAt = numberIn(head, "savedAt");
  if (savedAt === undefined || fieldOf(head, "restyconf") !== FORMAT) return undefined;
  return Math.max(0, Date.now() - savedAt);
}

function entryOf(line: readonly unknown[], passedMs: number): SnapshotEntry | undefined {
  const [key, content, flags, ttlMs] = line;
  if (typeof key !== "string" || typeof flags !== "number" || typeof ttlMs !== "number") return undefined;
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
  const bytes = fieldOf(content, "bytes");
  if (typeof bytes === "string") return Buffer.from(bytes, "base64");
  const number = fieldOf(content, "number");
  return typeof number === "string" ? Number(number) : undefined;
}

function numberIn(value: unknown, name: string): number | undefined {
  const field = fieldOf(value, name);
  return typeof field === "number" ? field : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
