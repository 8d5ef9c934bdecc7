import { MAX_TIMER_MS } from "../../codecs/timer.ts";
import { tlsOpening } from "../../codecs/tls/opening.ts";
import { GatewayError } from "../../errors.ts";
import type { LimitAnswer } from "../../shared/limits/limiter.ts";
import { sleep } from "../../shared/sleep.ts";
import { type Bucket, type Buckets, nodeBuckets } from "../bucket.ts";
import { recognise } from "../choose-route.ts";
import type { Connection } from "../connection.ts";
import { readHello } from "../hello.ts";
import type { Relay } from "../relay.ts";
import type { RelayRates } from "../throttle.ts";
import type { Membership } from "./bandwidth.ts";
import type { Gate, Limit, Pace, ServerLimits } from "./compile-limits.ts";
import type { LimitConfig } from "./limit-config.ts";
import { type Stage, stages } from "./limit-key.ts";

/** Whoever is refused before he has said anything, has so long to say it: he holds a socket meanwhile. */
const LISTEN_MS = 1_000;

/** Of a key that a client has chosen, enough to know it again. */
const SHOWN_KEY_CHARS = 64;

/** What limits have made of one session: what it has to give back, how long it has to wait, and how fast it may be. */
export class SessionLimits {
  readonly #session: Connection;
  /** Those of the route that matched. */
  route: readonly LimitConfig[] | undefined;
  readonly #asked = new Set<Limit>();
  readonly #giveBack: (() => void)[] = [];
  readonly #paces: { readonly pace: Pace; readonly key: string }[] = [];
  /** Rates that it shares with others, by the carrier whose sessions take from the same buckets. */
  #shared: { readonly buckets: Buckets; readonly memberships: readonly Membership[] } | undefined;
  /** First bytes that the shared rates have been paid for. */
  #paidBytes = 0;
  #delayMs = 0;

  constructor(session: Connection) {
    this.#session = session;
  }

  /** Asks the limits whose key is known by now, each once. @throws GatewayError RC_LIMITED, RC_HOOK_FAILED of a key's function */
  async ask(limits: readonly Limit[], stage: Stage): Promise<void> {
    const undo: (() => unknown)[] = [];
    for (const limit of limits) {
      if (limit.key.stage > stage || this.#asked.has(limit)) continue;
      const key = limit.key.of(this.#session);
      if (key !== undefined || stage === stages.routed) this.#asked.add(limit);
      if (key === undefined) continue;
      if (limit.kind === "pace") this.#paces.push({ pace: limit, key });
      else if (!(await this.#pass(limit, key, undo))) {
        for (const takeBack of undo) await takeBack();
        throw await limited(limit, key);
      }
    }
  }

  /** False: the gate is closed. */
  async #pass(gate: Gate, key: string, undo: (() => unknown)[]): Promise<boolean> {
    const zoned = `${gate.zone}:${key}`;
    const answer = await gate.limiter.incoming(zoned);
    if (answer.err !== undefined && answer.err !== "rejected") {
      this.#session.settings.log.error("limit failed", { ...this.#facts(gate, key), err: answer.err });
      return true; // a fault of ours must not turn everybody away
    }
    const release = answer.release && ((): void => answer.release?.());
    if (release) this.#giveBack.push(release);
    if (answer.err === undefined) undo.push(release ?? (() => gate.limiter.uncommit(zoned)));
    if (gate.isDry) return this.#onlySay(gate, key, answer);
    if (answer.err !== undefined) return false;
    this.#delayMs = Math.max(this.#delayMs, answer.delayMs);
    return true;
  }

  #onlySay(gate: Gate, key: string, { err, delayMs = 0 }: LimitAnswer): true {
    const { log } = this.#session.settings;
    if (err !== undefined) log.info("limit would refuse", this.#facts(gate, key));
    else if (delayMs > 0) log.info("limit would delay", { ...this.#facts(gate, key), delay_ms: Math.round(delayMs) });
    return true;
  }

  #facts({ text }: Limit, key: string): Readonly<Record<string, string>> {
    const { id, server } = this.#session;
    return { session: id, server, limit: text, key: key.slice(0, SHOWN_KEY_CHARS) };
  }

  /** Waits for the session's turn. @throws GatewayError RC_CLIENT_RESET, and what the session is stopped with */
  async wait(): Promise<void> {
    const delayMs = Math.min(this.#delayMs, MAX_TIMER_MS);
    this.#delayMs = 0;
    if (delayMs <= 0) return;
    const session = this.#session;
    const { signal } = session;
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        session.unwatch();
        signal.removeEventListener("abort", onAbort);
      };
      const fail = (cause: unknown): void => {
        settle();
        reject(cause);
      };
      const onAbort = (): void => fail(signal.reason);
      const timer = setTimeout(() => {
        settle();
        resolve();
      }, delayMs);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else
        session.watch(
          (how) => how === "reset" && fail(new GatewayError("RC_CLIENT_RESET", "while it waited for its turn")),
        );
    });
  }

  /** What holds for the relay; undefined: nothing does. */
  get rates(): RelayRates | undefined {
    const paces = this.#holding;
    if (paces.length === 0) return undefined;
    const own = paces.filter(({ pace }) => !pace.shared).map(({ pace }) => pace.rates);
    return { ...slowest(own), buckets: this.#shared?.memberships.map(({ bucket }) => bucket) };
  }

  /** Joins those it shares rates with, before it is relayed. A promise where it has to wait until its first bytes may go. */
  enter(buckets: Buckets, firstBytes: number): Promise<void> | undefined {
    const memberships = this.#join(buckets);
    const unpaid = firstBytes - this.#paidBytes;
    if (unpaid <= 0 || memberships.length === 0) return undefined;
    this.#paidBytes += unpaid;
    const bills = memberships.map(({ bucket }) => billFor(bucket, unpaid));
    return bills.every((bill) => bill() === 0) ? undefined : this.#paid(bills);
  }

  async #paid(bills: readonly (() => number)[]): Promise<void> {
    const { signal } = this.#session;
    for (;;) {
      const waitMs = Math.max(...bills.map((bill) => bill()));
      if (waitMs === 0) return;
      await sleep(waitMs, { signal });
    }
  }

  /** The bytes are on their way, by this relay from now on. */
  relayed(relay: Relay): void {
    this.#join(relay.buckets ?? nodeBuckets);
    const { rates } = this;
    if (rates) relay.limit(rates);
  }

  get #holding(): readonly { readonly pace: Pace; readonly key: string }[] {
    return this.#paces.filter(({ pace }) => !pace.isDry);
  }

  #join(buckets: Buckets): readonly Membership[] {
    if (this.#shared?.buckets === buckets) return this.#shared.memberships;
    this.#leave();
    const memberships = this.#holding.flatMap(
      ({ pace, key }) => pace.shared?.join(`${pace.zone}:${key}`, pace.rates, buckets) ?? [],
    );
    this.#shared = { buckets, memberships };
    return memberships;
  }

  #leave(): void {
    for (const { leave } of this.#shared?.memberships ?? []) leave();
    this.#shared = undefined;
  }

  /** The session has ended. */
  release(): void {
    this.#leave();
    for (const giveBack of this.#giveBack.splice(0)) giveBack();
  }
}

/** Longest pause before somebody who waits for his first bytes looks again: the rate may have changed. */
const MAX_PAUSE_MS = 100;

/** Takes the bytes. Answers how long to wait until they may go, or to ask again; 0: they may. */
function billFor(bucket: Bucket, bytes: number): () => number {
  bucket.pay(bytes);
  const due = bucket.look().up.taken;
  return () => {
    const { served, rate } = bucket.look().up;
    return served >= due ? 0 : Math.min(Math.max(((due - served) * 1_000) / rate, 1), MAX_PAUSE_MS);
  };
}

function slowest(rates: readonly RelayRates[]): RelayRates {
  const least = (way: "up" | "down"): number | undefined => {
    const known = rates.map((rate) => rate[way]).filter((rate) => rate !== undefined);
    return known.length > 0 ? Math.min(...known) : undefined;
  };
  return { up: least("up"), down: least("down") };
}

async function limited({ limiter, text, zone, status, reason, retryMs }: Gate, key: string): Promise<GatewayError> {
  const retryAfterMs = (await limiter.retryAfterMs(`${zone}:${key}`)) ?? retryMs;
  const detail = `${text} ${key.slice(0, SHOWN_KEY_CHARS)}`;
  return new GatewayError("RC_LIMITED", detail, { status, refusal: { status, reason, retryAfterMs } });
}

/**
 * The client is there, and nothing else is known. One that is refused is listened to before it is told so: the answer
 * is in its protocol. @throws GatewayError RC_LIMITED
 */
export async function limitAccepted(session: Connection, { own }: ServerLimits): Promise<void> {
  session.limits ??= new SessionLimits(session);
  try {
    await session.limits.ask(own, stages.accepted);
  } catch (cause) {
    await listen(session).catch(() => {}); // what it fails with is not why the session ends
    throw cause;
  }
}

/** As far as it takes to know the client's protocol, and no further: a handshake would cost more than the refusal saves. */
async function listen(session: Connection): Promise<void> {
  const { client, settings } = session;
  const until = performance.now() + LISTEN_MS;
  await client.head.grow(1, until);
  const endsTls = settings.ssl !== undefined && settings.ssl.mode !== "starttls";
  if (endsTls && tlsOpening(client.head.bytes).kind !== "plain") await readHello(session, until);
  else await recognise(session, until);
}

/** The hello is there, TLS has not begun. @throws GatewayError RC_LIMITED */
export async function limitHello(session: Connection, { own }: ServerLimits): Promise<void> {
  await session.limits?.ask(own, stages.hello);
}

/** All is known, and nothing done yet: whoever has to wait for his turn, does. @throws GatewayError RC_LIMITED, RC_CLIENT_RESET */
export async function limitRouted(session: Connection, { own, ofRoutes }: ServerLimits): Promise<void> {
  const { limits } = session;
  if (!limits) return;
  const route = limits.route && ofRoutes.get(limits.route);
  limits.route = undefined;
  await limits.ask(route ? [...own, ...route] : own, stages.routed);
  await limits.wait();
}
