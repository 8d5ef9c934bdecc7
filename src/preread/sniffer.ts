import type { Goodbye } from "../codecs/goodbye/goodbye.ts";
import type { Refusal } from "../errors.ts";

/** What a sniffer says about the first bytes. `atLeast` is the total it wants to see before it is asked again. */
export type Verdict<Info = unknown> =
  | { readonly kind: "match"; readonly info: Info }
  | { readonly kind: "mismatch" }
  | { readonly kind: "more"; readonly atLeast: number };

/**
 * Recognises one protocol by the first bytes of a client.
 * Pure: no socket, no clock, never throws on any bytes, never takes back a verdict when more bytes follow.
 */
export interface Sniffer<Name extends string = string, Info = unknown> {
  readonly name: Name;
  sniff(head: Uint8Array): Verdict<Info>;
  /**
   * Called when `sniff` wants more bytes of a client: what it returns is asked from then on and answers as `sniff` does, but
   * may remember the bytes that it has seen, and is given the same ones with more behind them. For protocols whose first
   * message costs too much to look at from its start, again and again.
   */
  readonly begin?: () => (head: Uint8Array) => Verdict<Info>;
  /**
   * Says in the protocol's own words why a client that matched is turned away; nothing is said without it, unless the client
   * spoke text. Asked only while nothing was written to the client. Pure: `info` is what `sniff` has told. Of a list, each piece is
   * sent when the client has said something again, for protocols in which it must speak before it will listen.
   */
  refuse?(refusal: Refusal, info: Info): Uint8Array | readonly Uint8Array[] | undefined;
  /**
   * Says in the protocol's own words that the gateway ends the session: in a drain, or because it stops. The words are the last bytes
   * that the client gets, behind a whole message of the peer's as far as that can be told: no byte has moved for a while. Undefined, and
   * without it: the client sees the end alone. Pure: `info` is what `sniff` has told.
   */
  goodbye?(goodbye: Goodbye, info: Info): Uint8Array | undefined;
  /** First bytes that it accepts; two routes are compared by them at start. */
  readonly examples: readonly Uint8Array[];
}

export const mismatch = { kind: "mismatch" } as const;

export function match<Info>(info: Info): { readonly kind: "match"; readonly info: Info } {
  return { kind: "match", info };
}

export function more(atLeast: number): { readonly kind: "more"; readonly atLeast: number } {
  return { kind: "more", atLeast };
}

/** Compares the head with a fixed prefix: `match` when all of it is there, `more` while it still may come: the next byte may decide. */
export function startsWith(head: Uint8Array, prefix: Uint8Array): Verdict<undefined> {
  const known = Math.min(head.length, prefix.length);
  for (let index = 0; index < known; index++) if (head[index] !== prefix[index]) return mismatch;
  return known === prefix.length ? match(undefined) : more(known + 1);
}
