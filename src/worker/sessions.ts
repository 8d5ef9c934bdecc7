import type { BanTable } from "../stream/bans/ban-table.ts";
import type { Carrier } from "../stream/carrier/carrier.ts";
import { Connection } from "../stream/connection.ts";
import type { Incoming } from "../stream/incoming.ts";
import { serve } from "../stream/serve.ts";
import type { Server } from "../stream/server.ts";
import { killBanned, killSilent } from "./bans/kill-banned.ts";
import { Drain } from "./drain.ts";
import { type LinkSession, type LinkSessions, linkSession } from "./link/link-sessions.ts";
import { type LiveSession, liveSession, silentNumber, silentSession } from "./live-session.ts";
import { stopAll } from "./quick-stop.ts";
import { Trial } from "./trial.ts";

interface SessionsParts {
  /** Sessions at once. */
  readonly max: number;
  /** Undefined: `node:net` accepts and carries. */
  readonly carrier: Carrier | undefined;
  /** Told when the last session of a generation has left. */
  readonly onUnused: (generation: number) => void;
}

/** How sessions have ended: all of them, and those with a status from 500 on. */
export interface Ends {
  readonly ended: number;
  readonly failed: number;
}

const NO_ENDS: Ends = { ended: 0, failed: 0 };

/** From here on it is not the client's doing: nginx's 500, 502, 503. */
const FAILED_STATUS = 500;

/** The sessions of this process, whatever generation they belong to: which ones live, and how many there may be. */
export class Sessions {
  readonly #parts: SessionsParts;
  /** In the order of their numbers. */
  readonly #all = new Set<Connection>();
  /** Where somebody looks for sessions by their ids again and again. */
  #byId: Map<string, Connection> | undefined;
  /** By the server's name, so that a reload does not forget those who are there. */
  readonly #perServer = new Map<string, number>();
  readonly #perGeneration = new Map<number, number>();
  readonly #ends = new Map<number, Ends>();
  /** Of generations that this process has loaded beside another. */
  readonly #trials = new Map<number, Trial>();
  #stops = false;
  #drain: Drain | undefined;
  readonly #onEmpty: (() => void)[] = [];
  #count = 0;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#all.size + (this.#drain?.silentLeft ?? 0);
  }

  /** False while no more sessions fit. */
  hasRoom({ name, maxConns = Number.POSITIVE_INFINITY }: Server): boolean {
    return this.#all.size < this.#parts.max && (this.#perServer.get(name) ?? 0) < maxConns;
  }

  /** How game servers reach sessions. Once they do, there is an index by id. */
  get forLinks(): LinkSessions {
    return {
      find: (id) => {
        const session = this.#index().get(id);
        return session && !session.isOver ? linkSession(session) : undefined;
      },
      list: () => this.#linked(),
      kill: (id) => {
        this.#index();
        return this.kill(id);
      },
    };
  }

  #index(): ReadonlyMap<string, Connection> {
    this.#byId ??= new Map([...this.#all].map((session) => [session.id, session]));
    return this.#byId;
  }

  *#linked(): Iterable<LinkSession> {
    for (const session of this.#all) if (!session.isOver) yield linkSession(session);
  }

  /** How sessions of a generation have ended so far. */
  endsOf(generation: number): Ends {
    return this.#ends.get(generation) ?? NO_ENDS;
  }

  #judge(generation: number, status: number): void {
    const { ended, failed } = this.endsOf(generation);
    this.#ends.set(generation, { ended: ended + 1, failed: failed + (status >= FAILED_STATUS ? 1 : 0) });
  }

  /** The counts are of no use any more. */
  forget(generation: number): void {
    this.#ends.delete(generation);
    this.#trials.delete(generation);
  }

  /** What code of a generation's sessions throws where nobody catches it is the trial's until it is adopted. */
  blame(generation: number, trial: Trial): void {
    this.#trials.set(generation, trial);
  }

  /** How many a generation still has. */
  ofGeneration(generation: number): number {
    return this.#perGeneration.get(generation) ?? 0;
  }

  serve(incoming: Incoming, server: Server): void {
    const session = new Connection(++this.#count, incoming, server, this.#leave);
    add(this.#perServer, server.name, 1);
    add(this.#perGeneration, server.generation, 1);
    this.#all.add(session);
    this.#byId?.set(session.id, session);
    void Trial.within(this.#trials.get(server.generation), () => serve(session));
    if (incoming.wasKilled) session.stop("killed");
    else if (incoming.wasDrained) session.stop("drained");
    if (this.#stops) session.stop("shutdown");
  }

  list(): LiveSession[] {
    const live: LiveSession[] = [];
    for (const session of this.#all) if (!session.isOver) live.push(liveSession(session));
    for (const client of this.#parts.carrier?.silent() ?? []) live.push(silentSession(client));
    return live;
  }

  /** Looks through all unless there is an index: operators kill now and then, game servers all the time. */
  kill(id: string): boolean {
    const silent = silentNumber(id);
    if (silent !== undefined) return this.#parts.carrier?.killSilent(silent) ?? false;
    const session = this.#byId ? this.#byId.get(id) : [...this.#all].find((one) => one.id === id);
    if (!session || session.isOver) return false;
    session.stop("killed");
    return true;
  }

  /** Ends those that bans hold. Answers how many. */
  killBanned(bans: BanTable): Promise<number> {
    return killBanned(bans, this.#all);
  }

  /** Turns those away whose address is banned and who have said nothing yet: the carrier's, which are no sessions. */
  killSilent(bans: BanTable): void {
    const { carrier } = this.#parts;
    if (carrier) killSilent(bans, carrier);
  }

  /** Ends all of them, and those that still come. */
  stop(): void {
    this.#stops = true;
    this.#parts.carrier?.engine.openSilent(); // so that they, too, have their end in the access log
    this.#drain?.stop();
    stopAll(this.#all);
  }

  /** Ends all of them one after the other, over this time; undefined: waits for their own end, and announces it where that is possible. */
  drain(overMs?: number): void {
    if (this.#drain && overMs === undefined) return; // one with a time goes on
    this.#drain?.stop();
    const drain = new Drain(overMs, {
      all: this.#all,
      silent: () => this.#parts.carrier?.silent().map(({ session }) => session) ?? [],
      endSilent: (session) => void this.#parts.carrier?.drainSilent(session),
      stop: () => this.stop(),
    });
    this.#drain = drain;
    void this.empty().then(() => drain.stop());
  }

  /** Resolves when none is left. */
  empty(): Promise<void> {
    if (this.#isEmpty) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
    });
  }

  /** A session keeps its place until its socket is closed too: what lingers holds a file descriptor. */
  readonly #leave = (session: Connection): void => {
    const { name, generation } = session.home;
    this.#all.delete(session);
    this.#byId?.delete(session.id);
    add(this.#perServer, name, -1);
    this.#judge(generation, session.status);
    if (add(this.#perGeneration, generation, -1) === 0) this.#parts.onUnused(generation);
    if (this.#isEmpty) for (const tell of this.#onEmpty.splice(0)) tell();
  };

  /** The carrier's sessions are known here once they have said something. */
  get #isEmpty(): boolean {
    return this.#all.size === 0 && (this.#parts.carrier?.engine.sessions ?? 0) === 0;
  }
}

/** Counts, and forgets what is at zero. */
function add<Key>(counts: Map<Key, number>, key: Key, by: number): number {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
  return count;
}
