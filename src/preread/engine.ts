import { GatewayError } from "../errors.ts";
import type { Sniffer } from "./sniffer.ts";

/** The first bytes of a client, growing. `grow` resolves when so many are there, none will come, or it is `endsAt`. */
export interface GrowingHead {
  readonly bytes: Uint8Array;
  grow(atLeast: number, endsAt: number): Promise<"enough" | "ended" | "timeout" | "reset">;
}

/** The sniffer that won, by its place in the list, and what it learned. */
export interface Sniffed {
  readonly index: number;
  readonly protocol: string;
  readonly info: unknown;
}

/** A sniffer that has not decided, and the total of bytes at which it wants to be asked again. */
export interface Open {
  readonly index: number;
  readonly protocol: string;
  readonly sniff: Sniffer["sniff"];
  readonly atLeast: number;
}

/** What one look at the bytes left: sniffers still hungry, and a match which waits for them. */
export interface Round {
  readonly open: readonly Open[];
  readonly found: Sniffed | undefined;
}

/**
 * The first look at a client's bytes, which decides nearly all sessions: only a sniffer that is hungry gets a state.
 * Sniffers may be objects of any make: their methods are called on them.
 */
export function askAll(sniffers: readonly Sniffer[], bytes: Uint8Array): Round {
  const open: Open[] = [];
  let index = 0;
  for (const sniffer of sniffers) {
    const verdict = sniffer.sniff(bytes);
    if (verdict.kind === "match") return { open, found: { index, protocol: sniffer.name, info: verdict.info } };
    if (verdict.kind === "more") open.push(begun(sniffer, index, beyond(bytes, verdict.atLeast)));
    index++;
  }
  return { open, found: undefined };
}

function begun(sniffer: Sniffer, index: number, atLeast: number): Open {
  const sniff = sniffer.begin?.() ?? ((head: Uint8Array) => sniffer.sniff(head));
  return { index, protocol: sniffer.name, sniff, atLeast };
}

/**
 * Asks, in order of priority, those sniffers which have what they wanted; the others are not bothered.
 * A match ends the chances of all behind it, and waits for those before it which are still hungry.
 */
export function ask(round: Round, bytes: Uint8Array): Round {
  const open: Open[] = [];
  for (const candidate of round.open) {
    if (candidate.atLeast > bytes.length) {
      open.push(candidate);
      continue;
    }
    const { index, protocol, sniff } = candidate;
    const verdict = sniff(bytes);
    if (verdict.kind === "more") open.push({ index, protocol, sniff, atLeast: beyond(bytes, verdict.atLeast) });
    if (verdict.kind === "match") return { open, found: { index, protocol, info: verdict.info } };
  }
  return { open, found: round.found };
}

/** At least one byte more than there is, whatever a sniffer asks for: else we would ask it for ever. */
function beyond({ length }: Uint8Array, atLeast: number): number {
  return atLeast > length ? atLeast : length + 1;
}

/**
 * Asks all sniffers about the same bytes until one wins or none is left. At the end of the client's bytes, of time or of
 * the buffer, a match that waited for hungrier sniffers wins. Undefined: no sniffer matches. A promise only when the bytes
 * that are there do not decide; it rejects with RC_PREREAD_FULL, RC_PREREAD_TIMEOUT, RC_CLIENT_RESET.
 */
export function preread(
  sniffers: readonly Sniffer[],
  head: GrowingHead,
  maxBytes: number,
  endsAt: number = Number.POSITIVE_INFINITY,
): Sniffed | undefined | Promise<Sniffed | undefined> {
  const round = askAll(sniffers, upTo(maxBytes, head.bytes));
  return round.open.length === 0 ? round.found : askOn(round, head, maxBytes, endsAt);
}

async function askOn(first: Round, head: GrowingHead, maxBytes: number, endsAt: number): Promise<Sniffed | undefined> {
  for (let round = first; ; round = ask(round, upTo(maxBytes, head.bytes))) {
    const atLeast = round.open.reduce((least, open) => Math.min(least, open.atLeast), Infinity);
    if (atLeast === Infinity) return round.found;
    if (atLeast > maxBytes) return round.found ?? full(maxBytes);
    const growth = await head.grow(atLeast, endsAt);
    if (growth === "reset") throw new GatewayError("RC_CLIENT_RESET");
    if (growth === "timeout") return round.found ?? late(head.bytes.length);
    if (growth === "ended") return ask(round, upTo(maxBytes, head.bytes)).found;
  }
}

/** The very bytes where they fit: what was decoded of them is kept with them. */
function upTo(maxBytes: number, bytes: Uint8Array): Uint8Array {
  return bytes.length <= maxBytes ? bytes : bytes.subarray(0, maxBytes);
}

function full(maxBytes: number): never {
  throw new GatewayError("RC_PREREAD_FULL", `no protocol within ${maxBytes} bytes`);
}

function late(size: number): never {
  throw new GatewayError("RC_PREREAD_TIMEOUT", `after ${size} bytes`);
}
