import type { AddressedEvent, ClusterEvent } from "./message.ts";

/** An event as it stands in the stream. */
export interface StreamEntry {
  readonly id: string;
  /** Undefined: something that is no event of ours. */
  readonly sent: SentEvent | undefined;
}

/** An event with the name of its gateway, and its number among that gateway's. */
export interface SentEvent extends ClusterEvent {
  readonly gateway: string;
  readonly serial: number;
}

/** What `XRANGE` answers: pairs of an id and a list of fields. Others can write to the stream, so everything is looked at. */
export function readEntries(answer: unknown): readonly StreamEntry[] {
  if (!Array.isArray(answer)) return [];
  return answer.flatMap((entry: unknown): StreamEntry[] => {
    if (!Array.isArray(entry)) return [];
    const [id, fields]: unknown[] = entry;
    if (typeof id !== "string" || !Array.isArray(fields)) return [];
    return [{ id, sent: sentEvent(fields[1]) }];
  });
}

/** What stands in a message for one gateway, and who has sent it; undefined: something that is no event of ours. */
export function readAddressed(text: string): { readonly event: AddressedEvent; readonly gateway: string } | undefined {
  const value = parsed(text);
  const read = namedEvent(value);
  if (!read || !isObject(value) || typeof value["to"] !== "number") return undefined;
  const { gateway, ...event } = read;
  return { event: { ...event, to: value["to"] }, gateway };
}

function sentEvent(text: unknown): SentEvent | undefined {
  const value = parsed(text);
  const read = namedEvent(value);
  if (!read || !isObject(value) || typeof value["serial"] !== "number") return undefined;
  return { ...read, serial: value["serial"] };
}

function namedEvent(value: unknown): (ClusterEvent & { readonly gateway: string }) | undefined {
  if (!isObject(value)) return undefined;
  const { topic, data, from, gateway } = value;
  const areTexts = typeof topic === "string" && typeof data === "string" && typeof gateway === "string";
  if (!areTexts || typeof from !== "number") return undefined;
  return isJson(data) ? { topic, data, from, gateway } : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Handlers are handed data, and must not fail of it. */
function isJson(data: string): boolean {
  return data === "" || parsed(data) !== undefined;
}

function parsed(text: unknown): unknown {
  try {
    return typeof text === "string" ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** Compares ids of a stream: milliseconds, then a number. */
export function isBefore(id: string, other: string): boolean {
  const [ms = 0, number = 0] = id.split("-").map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split("-").map(Number);
  return ms < otherMs || (ms === otherMs && number < otherNumber);
}
