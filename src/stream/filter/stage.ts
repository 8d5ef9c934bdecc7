import type { GatewayError } from "../../errors.ts";
import type { HookWatch } from "../hook-watch.ts";
import type { Awaitable } from "../session.ts";

/** Bytes on their way to the next stage, in order; an empty list stands for none. */
export type Pieces = Buffer | readonly Buffer[];

/**
 * One step that the bytes of one direction of one session go through: what filters are made of. It is handed one piece at a time
 * and asked for what becomes of it, until it needs more; so nothing piles up in it while whoever is behind it is slow.
 * What it throws, or rejects with, ends the session.
 */
export interface Stage {
  /** Takes a piece. Only called when {@link next} has said that it needs more. */
  push(piece: Buffer): void;
  /** What comes out next; undefined: more bytes are needed. A promise while somebody waits: then its direction stands still. */
  next(): Awaitable<Pieces | undefined>;
  /**
   * No more bytes will come; called once. Answers what it still held back. `isCut`: the session is ended from here, so bytes that
   * no filter has seen must not leave.
   */
  end(isCut: boolean): Awaitable<Pieces | undefined>;
  /** It waits for what has limits of its own: that of {@link Stages} does not hold. */
  readonly isUnlimited?: boolean;
  /** All that it answers is whole messages, as long as its end is cut. */
  readonly isFramed?: boolean;
}

/** The stages of both directions of one session. */
export interface Stages {
  /** From the client to its peer, in order. */
  readonly up: readonly Stage[];
  /** From the peer to the client, in order. */
  readonly down: readonly Stage[];
  /** No byte moves before {@link FilterControl.start}. */
  readonly isHeld?: boolean | undefined;
  /** How long a stage may wait; undefined: for as long as the session lives. */
  readonly limitMs?: number | undefined;
  /** Sees stages hold the event loop. */
  readonly watch?: HookWatch | undefined;
}

/** The side that bytes came from, or go to. */
export type FilterSide = "client" | "upstream";

/** What the stages of a session may do to it, besides what they answer. */
export interface FilterControl {
  /**
   * Sends bytes to a side, past the stages and behind what was sent there already. False when that side takes none any more, and
   * when it is slow: then they wait, and nothing is read on either side until it has taken them.
   */
  inject(side: FilterSide, bytes: string | Uint8Array): boolean;
  /** Bytes move, or have moved. */
  readonly isStarted: boolean;
  /** Lets the bytes of a held session move. */
  start(): void;
  /** Ends the session gently: what the stages still answer is sent, then both sides see the end. */
  finish(): void;
  /** Ends the session behind what is with the sockets already. */
  exit(cause: GatewayError): void;
}

/** Makes the stages of a session once its peer is connected, before a byte moves. */
export type MakeStages = (control: FilterControl) => Stages;
