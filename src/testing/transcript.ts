import { shownText } from "../worker/explain/shown-bytes.ts";

/** Bytes of one event that are shown. */
const MAX_SHOWN = 64;

/** One thing that happened in a run, by the clock of the run; who took part is called `client`, `gateway`, or as its peer is. */
export type TranscriptEvent = { readonly atMs: number } & Happening;

/** What can happen. Bytes are those that scripts send and receive: within TLS, in clear text. */
export type Happening =
  | { readonly kind: "bytes"; readonly from: string; readonly to: string; readonly bytes: Buffer }
  | { readonly kind: "end" | "reset"; readonly from: string; readonly to: string }
  | {
      readonly kind: "connect";
      readonly to: string;
      readonly outcome: "connected" | "refused" | "silent" | "unresolved";
    }
  | { readonly kind: "tls"; readonly with: string; readonly outcome: string }
  /** A hook of that phase is called; of `bodyFilter`, the first call only. */
  | { readonly kind: "phase"; readonly phase: string };

/** What happened, in order. Bytes that go the same way at the same time are one event, however many pieces they came in. */
export class Transcript {
  readonly #began = performance.now();
  readonly #events: TranscriptEvent[] = [];
  /** Of the last event, when it is bytes. */
  #pieces: Buffer[] = [];

  get events(): readonly TranscriptEvent[] {
    this.#join();
    return this.#events;
  }

  add(happening: Happening): void {
    const atMs = Math.round(performance.now() - this.#began);
    const last = this.#events.at(-1);
    if (happening.kind === "bytes" && last && isSame({ ...happening, atMs }, last)) {
      this.#pieces.push(happening.bytes);
      return;
    }
    this.#join();
    this.#events.push({ atMs, ...happening });
    this.#pieces = happening.kind === "bytes" ? [happening.bytes] : [];
  }

  #join(): void {
    const last = this.#events.at(-1);
    if (last?.kind !== "bytes" || this.#pieces.length < 2) return;
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    this.#events[this.#events.length - 1] = { ...last, bytes };
  }
}

/** A transcript for people: a line for each event, as failures of a run show it. */
export function transcriptText(events: readonly TranscriptEvent[]): string {
  return events.map((event) => `${String(event.atMs).padStart(8)} ms  ${textOf(event)}`).join("\n");
}

function textOf(event: TranscriptEvent): string {
  switch (event.kind) {
    case "bytes":
      return `${event.from} → ${event.to}: ${shown(event.bytes)}`;
    case "end":
    case "reset":
      return `${event.from} → ${event.to}: ${event.kind}`;
    case "connect":
      return `gateway → ${event.to}: ${event.outcome}`;
    case "tls":
      return `${event.with}: TLS: ${event.outcome}`;
    case "phase":
      return `gateway: ${event.phase}`;
    default:
      return event satisfies never;
  }
}

/** Bytes for a message: as text with escapes, and how many they are where not all are shown. */
export function shown(bytes: Uint8Array): string {
  const text = shownText(bytes, MAX_SHOWN);
  return bytes.length > MAX_SHOWN ? `${text} (${bytes.length} bytes)` : text;
}

/** More bytes of the same way. */
function isSame(event: TranscriptEvent, last: TranscriptEvent): boolean {
  if (event.kind !== "bytes" || last.kind !== "bytes" || event.atMs !== last.atMs) return false;
  return event.from === last.from && event.to === last.to;
}
