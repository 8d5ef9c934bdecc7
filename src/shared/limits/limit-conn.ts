import type { SharedDict } from "../dict/shared-dict.ts";
import { Leases, type Owners } from "./leases.ts";
import {
  type Admitted,
  checkedDict,
  checkedSetting,
  type IncomingOptions,
  type Limiter,
  type Refused,
} from "./limiter.ts";
import { OpenLeases } from "./open-leases.ts";

/** How many may be there at once. */
export interface ConnSettings {
  readonly conns: number;
  /** So many besides, who are told to wait. Default 0. */
  readonly burst?: number | undefined;
  /** How long one of them takes, about: who finds all places taken waits so long, who finds them taken twice, twice. Default 0. */
  readonly delayMs?: number | undefined;
}

/** How a limiter of connections is asked. */
export interface ConnIncoming extends IncomingOptions {
  /** Releases the lease when it aborts: `session.signal`. */
  readonly signal?: AbortSignal | undefined;
}

/** A lease on a place. */
export interface ConnAdmitted extends Admitted {
  /** How many are there, this one included. */
  readonly conns: number;
  /**
   * Gives the place back; a second call does nothing. `tookMs`: how long this one took, and the limiter's delay moves half way
   * towards it. OpenResty: `leaving`.
   */
  release(tookMs?: number): void;
}

/** A limiter of connections: {@link limitConn}. */
export interface ConnLimiter extends Limiter<ConnAdmitted | Refused> {
  incoming(key: string, options?: ConnIncoming): ConnAdmitted | Refused;
  setConns(conns: number): void;
  setBurst(burst: number): void;
  /** Gives back all leases of this limiter. */
  close(): void;
}

/**
 * Lets in so many at once. Each of them has a lease, which is given back by `release`, by its `signal`, or by the death of the
 * process: nothing leaks. Exact between processes. OpenResty: `resty.limit.conn`; nginx: `limit_conn`. Any phase.
 * @throws TypeError for wrong settings
 */
export function limitConn(
  options: ConnSettings & { readonly dict: SharedDict; readonly owners?: Owners | undefined },
): ConnLimiter {
  const leases = new Leases(checkedDict(options.dict), options.owners);
  const open = new OpenLeases();
  const pace = connPace(options);
  return {
    incoming(key, { commit = true, signal } = {}) {
      const conns = leases.take(key, pace.max, commit);
      if (typeof conns !== "number") return { err: conns };
      const answer = { ...pace.answer(conns), signal };
      return commit ? openLease(open, { key, ...answer }, giveBack) : leaseOf(answer, undefined);
    },
    uncommit(key) {
      const newest = open.newest(key);
      newest?.release();
      return newest !== undefined;
    },
    retryAfterMs: () => undefined,
    setConns: (conns) => pace.setConns(conns),
    setBurst: (burst) => pace.setBurst(burst),
    close() {
      open.endAll();
      leases.close();
    },
  };

  function giveBack(key: string, tookMs: number | undefined): void {
    leases.give(key);
    if (tookMs !== undefined) pace.learn(tookMs);
  }
}

/** How many are let in, and who of them waits how long; shared by both drivers. */
export interface ConnPace {
  readonly max: number;
  answer(conns: number): { readonly delayMs: number; readonly remaining: number; readonly conns: number };
  learn(tookMs: number): void;
  setConns(conns: number): void;
  setBurst(burst: number): void;
}

/** @throws TypeError for wrong settings */
export function connPace(settings: ConnSettings): ConnPace {
  let conns = checkedSetting("limitConn: conns", settings.conns, "above 0");
  let burst = checkedSetting("limitConn: burst", settings.burst ?? 0, "from 0");
  let unitMs = checkedSetting("limitConn: delayMs", settings.delayMs ?? 0, "from 0");
  return {
    get max() {
      return conns + burst;
    },
    answer(count) {
      const delayMs = count > conns ? unitMs * Math.floor((count - 1) / conns) : 0;
      return { delayMs, remaining: Math.max(conns + burst - count, 0), conns: count };
    },
    learn(tookMs) {
      unitMs = (unitMs + tookMs) / 2;
    },
    setConns(count) {
      conns = checkedSetting("limitConn: conns", count, "above 0");
    },
    setBurst(count) {
      burst = checkedSetting("limitConn: burst", count, "from 0");
    },
  };
}

/** What a lease says, and what ends it. */
type LeaseAnswer = ReturnType<ConnPace["answer"]> & { readonly signal: AbortSignal | undefined };

/** A lease that `uncommit` finds among the open ones of its limiter, and which is given back once, whoever does it. */
export function openLease(
  open: OpenLeases,
  { key, ...answer }: LeaseAnswer & { readonly key: string },
  giveBack: (key: string, tookMs: number | undefined) => void,
): ConnAdmitted {
  const own = open.add(key);
  const lease = leaseOf(answer, (tookMs) => {
    if (open.end(own)) giveBack(key, tookMs);
  });
  own.release = lease.release;
  return lease;
}

/** A lease that is given back once, by whoever is first. `giveBack` undefined: it was only asked about. */
export function leaseOf(
  { signal, ...answer }: LeaseAnswer,
  giveBack: ((tookMs?: number) => void) | undefined,
): ConnAdmitted {
  let isHeld = giveBack !== undefined;
  const release = (tookMs?: number): void => {
    if (!isHeld) return;
    isHeld = false;
    signal?.removeEventListener("abort", onAbort);
    giveBack?.(tookMs);
  };
  const onAbort = (): void => release();
  if (signal?.aborted) release();
  else if (isHeld) signal?.addEventListener("abort", onAbort, { once: true });
  return { ...answer, release };
}
