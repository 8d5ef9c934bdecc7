import { GatewayError } from "../errors.ts";
import { type Certificate, certificate, type Pem } from "./certificate.ts";
import { normalName } from "./names.ts";
import { Recent } from "./recent.ts";
import type { CertSource, CertStore } from "./store.ts";

/** How long answers of a foreign store are kept, and how many. */
export interface CertCacheOptions {
  /** Names kept with a certificate, as many again without one, and lookups under way: each is bounded by this. */
  readonly max: number;
  readonly ttlMs: number;
  /** For names without a certificate: short, so that a new certificate is seen soon. */
  readonly negativeTtlMs: number;
  /** A lookup that takes longer fails; default 5,000, half of the handshake's own time. */
  readonly lookupTimeoutMs?: number;
  /** Turns PEM into a certificate; a memory of its own lets equal PEM share one. */
  readonly toCertificate?: (given: Pem | Certificate) => Certificate;
  /** The clock in milliseconds. */
  readonly now?: () => number;
}

interface Kept {
  readonly expires: number;
  readonly answer: Certificate | undefined;
}

const NO_NAME = ""; // no normal name is empty, so this key is free for clients without SNI
const LOOKUP_TIMEOUT_MS = 5_000;

/**
 * Keeps the answers of a foreign store in this worker: a bounded number of them, misses too, one lookup at a time per name.
 * A failing lookup is `RC_TLS_STORE` for all who wait for it and is not remembered.
 */
export function cachedCerts(source: CertSource, options: CertCacheOptions): CertStore {
  const cache = new CertCache(source, options);
  return Object.freeze({ find: (serverName: string | undefined) => cache.find(serverName) });
}

class CertCache implements CertStore {
  readonly #source: CertSource;
  readonly #options: Required<CertCacheOptions>;
  readonly #found: Recent<Kept>;
  // Apart from the certificates, so that made-up names only push out other made-up names.
  readonly #missed: Recent<Kept>;
  readonly #underWay = new Map<string, Promise<Certificate | undefined>>();

  constructor(source: CertSource, options: CertCacheOptions) {
    const { lookupTimeoutMs = LOOKUP_TIMEOUT_MS, toCertificate = certificate, now = () => performance.now() } = options;
    this.#source = source;
    this.#options = { ...options, lookupTimeoutMs, toCertificate, now };
    this.#found = new Recent(options.max);
    this.#missed = new Recent(options.max);
  }

  async find(serverName: string | undefined): Promise<Certificate | undefined> {
    const key = serverName ? normalName(serverName) : NO_NAME;
    if (key === undefined) return undefined; // no host name: the source is not even asked
    const kept = this.#found.get(key) ?? this.#missed.get(key);
    if (kept !== undefined && kept.expires > this.#options.now()) return kept.answer;
    return this.#underWay.get(key) ?? this.#lookUp(key);
  }

  #lookUp(key: string): Promise<Certificate | undefined> {
    if (this.#underWay.size >= this.#options.max) {
      return Promise.reject(new GatewayError("RC_TLS_STORE", "too many lookups at once"));
    }
    const answer = within(this.#options.lookupTimeoutMs, this.#ask(key)).then(
      (found) => this.#keep(key, found),
      (cause: unknown) => {
        this.#underWay.delete(key);
        throw GatewayError.from(cause, "RC_TLS_STORE");
      },
    );
    this.#underWay.set(key, answer);
    return answer;
  }

  async #ask(key: string): Promise<Certificate | undefined> {
    const given = await this.#source.find(key === NO_NAME ? undefined : key);
    return given ? this.#options.toCertificate(given) : undefined;
  }

  #keep(key: string, answer: Certificate | undefined): Certificate | undefined {
    const { now, ttlMs, negativeTtlMs } = this.#options;
    const [fresh, stale] = answer ? [this.#found, this.#missed] : [this.#missed, this.#found];
    this.#underWay.delete(key);
    stale.delete(key);
    fresh.set(key, { answer, expires: now() + (answer ? ttlMs : negativeTtlMs) });
    return answer;
  }
}

/** Loses interest in `task` after `ms`: a source that hangs must not keep handshakes, and names, for ever. */
async function within<T>(ms: number, task: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new GatewayError("RC_TLS_STORE", `no answer within ${ms} ms`)), ms);
    timer.unref();
  });
  try {
    return await Promise.race([task, late]);
  } finally {
    clearTimeout(timer);
  }
}
