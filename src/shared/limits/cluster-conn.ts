import { newToken } from "../lock/owner.ts";
import { type ClusterWires, type Reply, runFor } from "./cluster-wires.ts";
import { Leases } from "./leases.ts";
import { type ConnAdmitted, type ConnIncoming, type ConnSettings, connPace, leaseOf, openLease } from "./limit-conn.ts";
import type { ClusterLimiter, Refused } from "./limiter.ts";
import { OpenLeases } from "./open-leases.ts";
import { CONN } from "./redis-scripts.ts";

/** A gateway that has died holds its places for so long. */
const DEFAULT_LEASE_MS = 30_000;

/** Each lease is renewed so often within its time: one or two may fail. */
const RENEWALS = 3;

/** Renewing is spread over so many turns. */
const TURNS = 10;

/** Keys whose count in Redis may be wrong, kept until they are told anew; more than this expire by themselves. */
const MAX_STALE = 10_000;

/** A limiter of connections for all gateways. */
export interface ClusterConnLimiter extends ClusterLimiter<ConnAdmitted | Refused> {
  incoming(key: string, options?: ConnIncoming): Promise<ConnAdmitted | Refused>;
  /** Gives back all leases, and renews none any more. */
  close(): Promise<void>;
}

/**
 * What this process holds in Redis. The dictionary counts along, so that a Redis that goes away leaves a count behind here, and one
 * that comes back empty is told what there is.
 */
class ClusterLeases {
  readonly #wires: ClusterWires;
  readonly #local: Leases;
  readonly #owner = newToken();
  readonly #leaseMs: number;
  /** Questions about a key that are not answered yet: what is held is then not certain. */
  readonly #open = new Map<string, number>();
  readonly #stale = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #round: Iterator<string> | undefined;

  constructor(wires: ClusterWires) {
    this.#wires = wires;
    this.#local = new Leases(wires.dict);
    this.#leaseMs = wires.leaseMs ?? DEFAULT_LEASE_MS;
  }

  async take(key: string, max: number, commit: boolean): Promise<number | Refused["err"]> {
    const reply = await this.#wires.fallback.ask(
      () => this.#run(key, max, commit ? "commit" : "look"),
      () => undefined,
    );
    if (reply && reply.word !== "ok") return reply.word === "rejected" ? "rejected" : "shdict abused by other users";
    if (reply && !commit) return reply.first;
    const conns = this.#local.take(key, reply ? Number.POSITIVE_INFINITY : max, commit);
    if (reply && typeof conns !== "number")
      await this.#renew(key); // what cannot be counted here could not be given back
    else if (commit && !reply) this.#told(key);
    this.#renewing();
    return reply && typeof conns === "number" ? reply.first : conns;
  }

  async give(key: string): Promise<boolean> {
    if (this.#local.give(key) === undefined) return false;
    await this.#wires.fallback.ask(
      async () => void (await this.#run(key, 0, "give")),
      () => this.#told(key),
    );
    return true;
  }

  async close(): Promise<void> {
    const keys = [...this.#local.held.keys(), ...this.#stale];
    clearInterval(this.#timer);
    this.#local.close();
    await Promise.all(keys.map((key) => this.#renew(key)));
    clearInterval(this.#timer);
  }

  /** The key's count in Redis is to be told anew: what was asked there may have happened or not. */
  #told(key: string): void {
    if (this.#stale.size < MAX_STALE) this.#stale.add(key);
    this.#renewing();
  }

  async #run(key: string, max: number, how: string, own = 0): Promise<Reply> {
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1);
    try {
      return await runFor(this.#wires.redis, CONN, key, [this.#owner, max, this.#leaseMs, how, own]);
    } finally {
      const open = (this.#open.get(key) ?? 1) - 1;
      if (open > 0) this.#open.set(key, open);
      else this.#open.delete(key);
    }
  }

  #renewing(): void {
    this.#timer ??= setInterval(() => this.#turn(), this.#leaseMs / RENEWALS / TURNS).unref();
  }

  #turn(): void {
    if (this.#local.held.size === 0 && this.#stale.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (!this.#wires.fallback.isAway) for (const key of [...this.#stale].slice(0, TURNS)) void this.#renew(key);
    for (let left = Math.ceil(this.#local.held.size / TURNS); left > 0; left--) {
      this.#round ??= this.#local.held.keys();
      const { value, done } = this.#round.next();
      if (done) this.#round = undefined;
      else void this.#renew(value);
    }
  }

  /** Says how many this process holds. Not while a question about the key is open: its answer would be undone. */
  async #renew(key: string): Promise<void> {
    if (this.#open.has(key)) return;
    await this.#wires.fallback.ask(
      async () => {
        await this.#run(key, 0, "keep", this.#local.own(key));
        this.#stale.delete(key);
      },
      () => {},
    );
  }
}

/** {@link limitConn} for all gateways. */
export function clusterConn(settings: ConnSettings, wires: ClusterWires): ClusterConnLimiter {
  const leases = new ClusterLeases(wires);
  const open = new OpenLeases();
  const pace = connPace(settings);
  const named = (key: string): string => `limit:conn:${key}`;
  return {
    async incoming(key, { commit = true, signal } = {}) {
      const conns = await leases.take(named(key), pace.max, commit);
      if (typeof conns !== "number") return { err: conns };
      const answer = { ...pace.answer(conns), signal };
      return commit ? openLease(open, { key, ...answer }, giveBack) : leaseOf(answer, undefined);
    },
    async uncommit(key) {
      const newest = open.newest(key);
      if (!newest) return false;
      open.end(newest);
      newest.release(); // leaves its signal alone from now on; it is we who give it back, and wait for that
      return leases.give(named(key));
    },
    retryAfterMs: async () => undefined,
    close() {
      open.endAll();
      return leases.close();
    },
  };

  function giveBack(key: string, tookMs: number | undefined): void {
    void leases.give(named(key));
    if (tookMs !== undefined) pace.learn(tookMs);
  }
}
