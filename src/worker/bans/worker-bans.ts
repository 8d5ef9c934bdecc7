import type { Loss, TakenOut } from "../../registry/redis/loss.ts";
import type { Registry } from "../../registry/registry.ts";
import {
  BAN_KEYS,
  type Ban,
  type BanOptions,
  banOf,
  banValue,
  type HeldBan,
  readBan,
  shownBan,
} from "../../stream/bans/ban.ts";
import { BanTable, MAX_VARIABLES } from "../../stream/bans/ban-table.ts";
import { WHOM_WORDS, type Whom, whomOf } from "../../stream/bans/whom.ts";
import type { Log } from "../../stream/log.ts";
import type { Bans } from "../../stream/worker-context.ts";
import { FollowedKeys } from "../../upstream/followed-keys.ts";
import type { BansRegistry } from "./bans-registry.ts";
import { MAX_UNHEARD_MS, type Restored, restoreBans } from "./restore-bans.ts";
import { type Outdated, takeOut } from "./take-out.ts";
import { TakenBack } from "./taken-back.ts";

/** As many keys as a process follows in Redis; each takes some 1 KB. Ban subnets where single addresses are too many. */
export const MAX_BANS = 100_000;

/**
 * The native carrier tells of a client when it has said something, and so of one whose address is banned. Who keeps silent must not hold
 * a socket for longer than this; a look costs as much as there are silent clients. (Telling of each at once would cost all others.)
 */
const LOOK_MS = 250;

/** Why a ban is not taken. */
const TOO_MANY = `bans by more than ${MAX_VARIABLES} variables`;

/** Of a key that a stranger has written, enough to find it again. */
const SHOWN_KEY_CHARS = 128;

/** What new bans change. */
export interface BansHost {
  /** Ends the sessions that these bans hold; answers how many. */
  killBanned(bans: BanTable): Promise<number>;
  /** Turns those away who have said nothing yet. */
  killSilent(bans: BanTable): void;
}

/** The bans of one worker: follows those in the registry, whoever has put them, and ends the sessions of new ones. */
export class WorkerBans implements Bans, AsyncDisposable {
  readonly table = new BanTable();
  readonly #registry: Registry;
  readonly #isOwn: boolean;
  readonly #log: Pick<Log, "info" | "warn">;
  readonly #keys: FollowedKeys<HeldBan>;
  readonly #stop = new AbortController();
  #host: BansHost | undefined;
  /** While addresses are banned. */
  #looking: NodeJS.Timeout | undefined;
  /** Those that sessions were not held against yet. */
  #fresh = new BanTable();
  #isSweeping = false;
  /** Keys by too many variables, which hold nobody until there is room. */
  readonly #untaken = new Set<string>();
  readonly #takenBack = new TakenBack();
  /** The way to the Redis that had lost something last. Not what it had: that may be very much. */
  #loss: Outdated["loss"] | undefined;
  #leaveOuts: () => void = () => {};
  /** What was lost before is put back no more once more is lost. */
  #restoring = new AbortController();
  /** Keys that have come with a value that was taken back before. */
  #outdated: string[] = [];
  /** Values of no use since the last look. */
  #ignored: string[] = [];

  private constructor({ registry, isOwn }: BansRegistry, log: Pick<Log, "info" | "warn">) {
    this.#registry = registry;
    this.#isOwn = isOwn;
    this.#log = log;
    this.#keys = new FollowedKeys({
      source: registry,
      prefix: BAN_KEYS,
      max: { keys: MAX_BANS, what: "bans" },
      read: (key, value) => this.#read(key, value),
      onChange: (changed) => this.#onChange(changed),
      warn: (message) => log.warn(message),
    });
  }

  /** Follows the bans in a registry. Resolves when they are known, or cannot be had now. */
  static async open(registry: BansRegistry, log: Pick<Log, "info" | "warn">): Promise<WorkerBans> {
    const bans = new WorkerBans(registry, log);
    await bans.#keys.ready;
    return bans;
  }

  /** The worker serves. */
  serves(host: BansHost): void {
    this.#host = host;
    this.#look();
    void this.#sweep();
  }

  async add(whom: string, options: BanOptions = {}): Promise<Ban> {
    const read = named(whom);
    const ban = banOf(read, options, Date.now());
    const key = `${BAN_KEYS}${ban.whom}`;
    if (!this.table.takes(read)) throw new Error(TOO_MANY);
    if (this.#keys.size >= MAX_BANS && this.#keys.get(key) === undefined) throw new Error(`more than ${MAX_BANS} bans`);
    const value = banValue(ban);
    await this.#registry.put(key, value, options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs });
    this.#keys.learn(key, value);
    if (!this.#untaken.has(key)) return shownBan(ban);
    await this.remove(ban.whom); // the last room went while it was put
    throw new Error(TOO_MANY);
  }

  async remove(whom: string): Promise<boolean> {
    const key = `${BAN_KEYS}${named(whom).text}`;
    const before = this.#keys.get(key);
    const wasThere = await this.#registry.delete(key);
    for (const ban of [before, this.#keys.get(key)]) if (ban) this.#takenBack.remember(ban);
    this.#keys.learn(key, undefined);
    return wasThere;
  }

  list(): readonly Ban[] {
    const now = Date.now();
    const held = [...this.#keys.items()].filter(([key, { untilMs }]) => untilMs > now && !this.#untaken.has(key));
    return held.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, ban]) => shownBan(ban));
  }

  /**
   * Redis has lost its data, or has older data: somebody who knows the bans puts those back that it has not, maybe this worker. Those
   * that were taken back before, as far as it knows, do not hold again.
   */
  restore(loss: Loss): void {
    const { read, swap, tellOut } = loss;
    this.#loss = { read, swap, tellOut };
    this.#leaveOuts();
    this.#leaveOuts = loss.onOut((out) => this.#onOut(out));
    this.#restoring.abort();
    this.#takenBack.doubt(loss.found);
    this.#takeOutBack();
    const lost = this.#lost(loss);
    const isSure = loss.unheardMs <= MAX_UNHEARD_MS;
    const keys = lost.filter(([key, { untilMs }]) => isEnding(untilMs) || loss.isLasting(key)).map(([key]) => key);
    const lapsed = lost.length - keys.length;
    if (lapsed > 0) this.#log.warn("bans that redis has lost may have lapsed", { bans: lapsed });
    if (isSure || keys.length > 0) this.#putBack({ loss, keys, isSure });
  }

  #lost({ found }: Loss): readonly (readonly [key: string, ban: HeldBan])[] {
    const now = Date.now();
    const isBack = (key: string): boolean => this.#takenBack.isBack(key.slice(BAN_KEYS.length));
    return [...this.#keys.items()].filter(([key, { untilMs }]) => untilMs > now && (!found.has(key) || isBack(key)));
  }

  #putBack(lost: Pick<Restored, "keys" | "isSure"> & { readonly loss: Loss }): void {
    const what = lost.isSure ? "are put back" : "are put back, unless others know better";
    if (lost.keys.length > 0) this.#log.warn(`bans that redis has lost ${what}`, { bans: lost.keys.length });
    const restoring = new AbortController();
    this.#restoring = restoring;
    const ban = (key: string): HeldBan | undefined => this.#keys.get(key);
    const isOutdated = (key: string, value: string): boolean => this.#outdatedIn(key, value) !== undefined;
    const restored = { registry: this.#registry, ...lost, ban, isOutdated };
    lost.loss.keepUntil(restoreBans(restored, restoring.signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#restoring.abort();
    this.#leaveOuts();
    clearInterval(this.#looking);
    await this.#keys.close();
    if (this.#isOwn) await this.#registry[Symbol.asyncDispose]();
  }

  #read(key: string, value: string): HeldBan | undefined {
    const read = readBan(key, value);
    if (isBan(read)) return this.#takenBack.has(read) ? this.#keepOut(key) : read;
    this.#ignored.push(`${key.slice(0, SHOWN_KEY_CHARS)} is ignored: ${read}`);
    return undefined;
  }

  /** What Redis has of a key was taken back before. What has taken its place goes on, and is put back. */
  #keepOut(key: string): HeldBan | undefined {
    const newer = this.#keys.get(key);
    if (!newer) this.#outdated.push(key);
    return newer;
  }

  #onChange(changed: ReadonlyMap<string, HeldBan | undefined>): void {
    for (const [key, ban] of changed) {
      if (!ban) this.#forget(key);
      else this.#take(key, ban);
    }
    if (this.#untaken.size > 0 && this.table.hasRoom) this.#takeAgain();
    this.#takeOut();
    this.#complain();
    this.#look();
    void this.#sweep();
  }

  /** Each worker looks after these itself: another may take them out before the followed keys have shown them, and they are meant from then on. */
  #takeOutBack(): void {
    const keys = this.#takenBack.back.map((whom) => `${BAN_KEYS}${whom}`);
    this.#outdated.push(...keys.filter((key) => this.#keys.get(key) === undefined));
    this.#takeOut();
  }

  #takeOut(): void {
    const [keys, loss] = [this.#outdated, this.#loss];
    if (keys.length === 0 || !loss) return; // without a loss nothing is outdated
    this.#outdated = [];
    this.#log.warn("bans that were taken back are in redis again, and are taken out", { bans: keys.length });
    const outdated = (key: string, value: string): string | undefined => this.#outdatedIn(key, value);
    const onOut = (key: string): void => this.#takenBack.isOut(key.slice(BAN_KEYS.length));
    void takeOut({ loss, keys, outdated, onOut }, this.#stop.signal);
  }

  #outdatedIn(key: string, value: string): string | undefined {
    const ban = readBan(key, value);
    return isBan(ban) && this.#takenBack.has(ban) ? banValue(ban) : undefined;
  }

  /** Somebody knows that it was taken back. Another ban of the same is meant. */
  #onOut({ key, text }: TakenOut): void {
    const ban = this.#keys.get(key);
    if (!ban || banValue(ban) !== text || !this.#takenBack.isInDoubt) return;
    this.#takenBack.remember(ban);
    this.#keys.learn(key, undefined);
  }

  #take(key: string, ban: HeldBan): void {
    this.#went(ban.whom);
    this.#takenBack.forget(ban);
    if (this.table.add(ban)) {
      this.#untaken.delete(key);
      this.#fresh.add(ban);
    } else if (!this.#untaken.has(key)) {
      this.#untaken.add(key);
      this.#ignored.push(`${key} is ignored: ${TOO_MANY}`);
    }
  }

  /** Nobody is banned by some variable any more. */
  #takeAgain(): void {
    for (const key of [...this.#untaken]) {
      const ban = this.#keys.get(key);
      if (ban) this.#take(key, ban);
    }
  }

  /** In doubt nobody knows whether it was taken back, but who did. */
  #went(whom: string): void {
    const before = this.#takenBack.isInDoubt ? undefined : this.table.held(whom);
    if (before) this.#takenBack.remember(before);
  }

  #forget(key: string): void {
    this.#untaken.delete(key);
    const whom = key.slice(BAN_KEYS.length);
    this.#went(whom);
    this.table.remove(whom);
    this.#fresh.remove(whom);
  }

  /** One line for each burst: there may be as many as keys. */
  #complain(): void {
    const [first, ...more] = this.#ignored;
    this.#ignored = [];
    if (first !== undefined) this.#log.warn(first, more.length > 0 ? { more: more.length } : {});
  }

  #look(): void {
    const host = this.#host;
    if (!host || !this.table.hasAddresses) {
      clearInterval(this.#looking);
      this.#looking = undefined;
      return;
    }
    if (this.#fresh.hasAddresses) host.killSilent(this.#fresh);
    this.#looking ??= setInterval(() => host.killSilent(this.table), LOOK_MS).unref();
  }

  /** All bans that have come since the last time are held against each session once. */
  async #sweep(): Promise<void> {
    const host = this.#host;
    if (!host || this.#isSweeping) return;
    this.#isSweeping = true;
    while (this.#fresh.hasAddresses || this.#fresh.hasKeys) {
      const fresh = this.#fresh;
      this.#fresh = new BanTable();
      const sessions = await host.killBanned(fresh);
      if (sessions > 0) this.#log.info("sessions of the banned have ended", { sessions });
    }
    this.#isSweeping = false;
  }
}

function isEnding(untilMs: number): boolean {
  return untilMs !== Number.POSITIVE_INFINITY;
}

function isBan(read: HeldBan | string | undefined): read is HeldBan {
  return typeof read === "object";
}

/** @throws TypeError for what means nobody */
function named(whom: string): Whom {
  const read = typeof whom === "string" ? whomOf(whom) : undefined;
  if (read) return read;
  throw new TypeError(`whom: expected ${WHOM_WORDS}, not ${JSON.stringify(whom)}`);
}
