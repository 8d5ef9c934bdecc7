import type { Connection } from "../stream/connection.ts";
import { Announcer } from "./announcer.ts";

/** How often sessions are told to go: often enough that a minute's drain is even, seldom enough that looking at all of them costs nothing. */
const STEP_MS = 250;

/** What those that were told to go may take, before they are cut off. */
const LAST_MS = 5_000;

/**
 * A session in the midst of something is waited for, to the end if need be. But if there are many of them, and none ever pauses, they
 * would all be cut at once then: so no step ends more than this multiple of an even pace.
 */
const FASTEST = 2;

/** Announcements are spread over this part of a drain, since whoever hears one connects again; the rest is for their last responses … */
const ANNOUNCED_PART = 1 / 2;

/** … and over so long at most, as where a drain has no end. */
const ANNOUNCE_MS = 10_000;

/** What a drain needs of the sessions. */
interface Drained {
  readonly all: ReadonlySet<Connection>;
  /** Numbers of the carrier's clients that have said nothing yet, and so are no sessions. Costs time for each. */
  silent(): readonly number[];
  /** Nothing happens if it has said something meanwhile. */
  endSilent(client: number): void;
  /** Cuts off whatever is left. */
  stop(): void;
}

/** A session that may be ended. */
interface Candidate {
  readonly session: Connection;
  /** No byte has moved since the look before. */
  readonly isIdle: boolean;
  /** What it has to say first, for which it must be between two messages. */
  readonly kind: Connection["farewellKind"];
}

/**
 * Ends sessions in good order, evenly over a time, those first that have moved no byte since the step before: a peer and a network
 * that get them all back at once would suffer. Who has a goodbye in its protocol says it, if it comes to rest in time. What is left at
 * the end is cut off. Without a time none is ended; but where a protocol announces the end in advance, as HTTP/1, it does so in any case.
 */
export class Drain {
  readonly #sessions: Drained;
  readonly #steps: number;
  readonly #announceSteps: number;
  /** Most ends at a step. */
  readonly #most: number;
  readonly #timer: NodeJS.Timeout;
  readonly #announcer = new Announcer();
  /** Had a turn, and were in the midst of something. */
  readonly #postponed = new WeakSet<Connection>();
  /** Bytes at the last look. */
  #moved: ReadonlyMap<Connection, number> = new Map();
  /** Those that were there when it began. None comes any more, but from the queues of the ports. */
  #silent: readonly number[];
  #step = 0;
  #last: NodeJS.Timeout | undefined;

  /** Begins at once. `overMs` undefined: it has no end. */
  constructor(overMs: number | undefined, sessions: Drained) {
    this.#sessions = sessions;
    this.#steps = overMs === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(overMs / STEP_MS));
    this.#announceSteps = Math.min(this.#steps * ANNOUNCED_PART, ANNOUNCE_MS / STEP_MS);
    this.#most = Math.max(1, Math.ceil((this.#look().length * FASTEST) / this.#steps));
    this.#silent = overMs === undefined ? [] : sessions.silent();
    this.#timer = setInterval(() => this.#next(), STEP_MS);
  }

  /** Clients that have said nothing, and whose turn is still to come. */
  get silentLeft(): number {
    return this.#silent.length;
  }

  /** None is left, or another drain takes its place. */
  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#last);
    this.#silent = [];
  }

  #next(): void {
    this.#step++;
    const left = this.#look();
    void this.#announcer.next(
      left.map(({ session }) => session),
      this.#announceSteps - this.#step + 1,
    );
    if (this.#steps === Number.POSITIVE_INFINITY) return;
    this.#endShare(left);
    this.#endSilent(this.#steps - this.#step);
    if (this.#step < this.#steps) return;
    clearInterval(this.#timer);
    this.#last = setTimeout(() => this.#sessions.stop(), LAST_MS);
  }

  /** Looks at each session once. */
  #look(): readonly Candidate[] {
    const moved = new Map<Connection, number>();
    const left: Candidate[] = [];
    for (const session of this.#sessions.all) {
      if (session.isOver) continue;
      const bytes = session.bytesReceived + session.bytesSent;
      moved.set(session, bytes);
      const isIdle = this.#moved.get(session) === bytes;
      left.push({ session, isIdle, kind: session.farewellKind });
    }
    this.#moved = moved;
    return left;
  }

  #endShare(left: readonly Candidate[]): void {
    const stepsAfter = Math.max(0, this.#steps - this.#step);
    const share = Math.ceil(left.length / (stepsAfter + 1));
    const urgent = left.length - this.#most * stepsAfter;
    const { quiet, busy } = this.#inOrder(left);
    const count = Math.max(Math.min(share, quiet.length), urgent);
    [...quiet, ...busy].slice(0, count).forEach(({ session, kind }, place) => {
      if (kind) void this.#endPolitely(session, place < urgent);
      else session.stop("drained");
    });
  }

  /** Evenly, too: nothing of theirs is under way. Who has come late has his turn at the end. */
  #endSilent(stepsAfter: number): void {
    const silent = stepsAfter > 0 ? this.#silent : this.#sessions.silent();
    const count = Math.ceil(silent.length / (stepsAfter + 1));
    for (const client of silent.slice(0, count)) this.#sessions.endSilent(client);
    this.#silent = silent.slice(count);
  }

  /** Idle ones first. Busy is who is known to be in the midst of something that should not be cut, or may still hear the announcement. */
  #inOrder(left: readonly Candidate[]): Record<"quiet" | "busy", readonly Candidate[]> {
    const [idle, active, postponed, busy]: [Candidate[], Candidate[], Candidate[], Candidate[]] = [[], [], [], []];
    const isAnnouncing = this.#step <= this.#announceSteps;
    for (const candidate of left) {
      const { session, isIdle, kind } = candidate;
      if (!kind) (isIdle ? idle : active).push(candidate);
      else if (!isIdle || (kind === "response" && isAnnouncing)) busy.push(candidate);
      else (this.#postponed.has(session) ? postponed : idle).push(candidate);
    }
    return { quiet: [...idle, ...active, ...postponed], busy };
  }

  async #endPolitely(session: Connection, isUrgent: boolean): Promise<void> {
    const isEnded = await session.farewell?.say("drained");
    if (isEnded !== false) return;
    if (isUrgent) session.stop("drained");
    else this.#postponed.add(session);
  }
}
