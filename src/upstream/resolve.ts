import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { GatewayError, messageOf } from "../errors.ts";
import { patiently, type WaitLimits } from "./abort.ts";

/** Answers all addresses of a host name; rejects when there is none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** What a resolver works with; each has a default. */
export interface ResolverOptions {
  readonly lookup?: Lookup;
  /** A steady clock in milliseconds. */
  readonly now?: () => number;
}

/** The system's lookup does not tell the TTL of an answer: short enough for a failover by DNS, long enough to cost nothing. */
export const DNS_TTL_MS = 5_000;

/** A name that does not exist is asked for once per second, however many sessions want it. */
export const DNS_NEGATIVE_TTL_MS = 1_000;

/** How long a session waits for a newer answer while it has an old one: a dead DNS server must not cost each session seconds. */
const STALE_PATIENCE_MS = 250;

/** Hooks may make names from what clients send. */
const MAX_NAMES = 1_000;

interface Entry {
  addresses: readonly string[];
  failure: GatewayError | undefined;
  expires: number;
  turn: number;
  refresh: Promise<void> | undefined;
}

/**
 * Turns host names into addresses for all upstreams of a process, by the system's resolver, so `/etc/hosts` counts.
 * One lookup at a time per name; an old answer is better than none when a new lookup fails.
 */
export class Resolver {
  readonly #entries = new Map<string, Entry>();
  readonly #lookup: Lookup;
  readonly #now: () => number;

  constructor({ lookup = systemLookup, now = () => performance.now() }: ResolverOptions = {}) {
    this.#lookup = lookup;
    this.#now = now;
  }

  /**
   * All addresses of `host`, another one first each time. An IP address is its own answer.
   * @throws GatewayError RC_PEER_RESOLVE
   */
  async resolve(host: string, limits: WaitLimits = {}): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const entry = this.#entry(host);
    if (entry.expires <= this.#now()) await this.#refreshed(host, entry, limits);
    if (entry.addresses.length === 0) throw entry.failure ?? new GatewayError("RC_PEER_RESOLVE", host);
    const first = entry.turn++ % entry.addresses.length;
    return [...entry.addresses.slice(first), ...entry.addresses.slice(0, first)];
  }

  /** Waits for the one lookup of this name. Who has an old answer does not fail because the new one is late. */
  async #refreshed(host: string, entry: Entry, limits: WaitLimits): Promise<void> {
    entry.refresh ??= this.#refresh(host, entry);
    const hasOld = entry.addresses.length > 0;
    const longest = limits.timeoutMs ?? Number.POSITIVE_INFINITY;
    const timeoutMs = hasOld ? Math.min(STALE_PATIENCE_MS, longest) : limits.timeoutMs;
    const late = (): GatewayError => new GatewayError("RC_PEER_RESOLVE", `${host}: no answer in time`);
    try {
      await patiently(entry.refresh, { signal: limits.signal, timeoutMs, late });
    } catch (cause) {
      if (limits.signal?.aborted || !hasOld) throw cause;
    }
  }

  async #refresh(host: string, entry: Entry): Promise<void> {
    try {
      const addresses = await this.#lookup(host);
      if (addresses.length === 0) throw new Error("no address");
      entry.addresses = addresses;
      entry.expires = this.#now() + DNS_TTL_MS;
    } catch (cause) {
      entry.failure = new GatewayError("RC_PEER_RESOLVE", `${host}: ${reasonOf(cause)}`, { cause });
      entry.expires = this.#now() + DNS_NEGATIVE_TTL_MS;
    } finally {
      entry.refresh = undefined;
    }
  }

  /** Known names are moved to the end, so the name that goes is the one not asked for the longest. */
  #entry(host: string): Entry {
    const entry: Entry = this.#entries.get(host) ?? {
      addresses: [],
      failure: undefined,
      expires: Number.NEGATIVE_INFINITY,
      turn: 0,
      refresh: undefined,
    };
    this.#entries.delete(host);
    this.#entries.set(host, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_NAMES && oldest !== undefined) this.#entries.delete(oldest);
    return entry;
  }
}

async function systemLookup(host: string): Promise<readonly string[]> {
  const answers = await lookup(host, { all: true, verbatim: true });
  return answers.map(({ address }) => address);
}

/** `ENOTFOUND` says more in fewer words than the message around it. */
function reasonOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : messageOf(cause);
}
