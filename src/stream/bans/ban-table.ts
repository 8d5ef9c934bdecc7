import { ipToBytes, unmapped } from "../../codecs/ip.ts";
import { type KeyOf, keyOf, type Stage } from "../limits/limit-key.ts";
import type { Session } from "../session.ts";
import type { HeldBan } from "./ban.ts";
import { PrefixMap, v4Key, v6Key } from "./prefix-map.ts";
import { limitKeyOf, VARIABLE, type Whom, whomOf } from "./whom.ts";

/** Each key by which somebody is banned is read of every session; of variables there could be any number. */
export const MAX_VARIABLES = 16;

/** The bans of one key, by its values. */
interface KeyBans {
  readonly key: KeyOf;
  readonly byValue: Map<string, HeldBan>;
}

/**
 * Who is banned. An address costs a look for each prefix length that some ban has, a session one for each key; nothing is looked
 * at where nobody is banned. Bans whose time is over hold nobody.
 */
export class BanTable {
  readonly #v4 = new PrefixMap<number, HeldBan>(v4Key);
  readonly #v6 = new PrefixMap<string, HeldBan>(v6Key);
  readonly #byKey = new Map<string, KeyBans>();

  /** Some address is banned. */
  get hasAddresses(): boolean {
    return this.#v4.size > 0 || this.#v6.size > 0;
  }

  /** Somebody is banned by a key. */
  get hasKeys(): boolean {
    return this.#byKey.size > 0;
  }

  /** Bans by a variable that none is by yet are taken. */
  get hasRoom(): boolean {
    let variables = 0;
    for (const name of this.#byKey.keys()) if (name.startsWith(VARIABLE)) variables++;
    return variables < MAX_VARIABLES;
  }

  /** Whether {@link add} would take a ban of these. */
  takes(whom: Whom): boolean {
    return whom.kind === "range" || !whom.name.startsWith(VARIABLE) || this.#byKey.has(whom.name) || this.hasRoom;
  }

  /** Takes the place of one for the same. False: there are too many variables. */
  add(ban: HeldBan): boolean {
    const whom = whomOf(ban.whom);
    if (!whom || !this.takes(whom)) return false;
    if (whom.kind === "range") {
      this.#prefixes(whom.range.bytes).set(whom.range, ban);
      return true;
    }
    const known = this.#byKey.get(whom.name) ?? this.#newKey(whom.name);
    known?.byValue.set(whom.value, ban);
    return known !== undefined;
  }

  /** `text`: {@link HeldBan.whom}. */
  remove(text: string): void {
    const whom = whomOf(text);
    if (!whom) return;
    if (whom.kind === "range") this.#prefixes(whom.range.bytes).delete(whom.range);
    else {
      const known = this.#byKey.get(whom.name);
      known?.byValue.delete(whom.value);
      if (known?.byValue.size === 0) this.#byKey.delete(whom.name);
    }
  }

  /** The ban with this {@link HeldBan.whom}, also where its time is over. */
  held(text: string): HeldBan | undefined {
    const whom = whomOf(text);
    if (whom?.kind === "range") return this.#prefixes(whom.range.bytes).get(whom.range);
    return whom && this.#byKey.get(whom.name)?.byValue.get(whom.value);
  }

  /** The ban that an address falls under, of several the narrowest. Clients of unix sockets have no address. */
  ofAddress(host: string): HeldBan | undefined {
    if (!this.hasAddresses) return undefined;
    const written = ipToBytes(host);
    if (!written) return undefined;
    const bytes = unmapped(written);
    return this.#prefixes(bytes).find(bytes, holds);
  }

  /** The ban that a session falls under by what is known of it at a stage. @throws what a variable throws */
  ofSession(session: Session, stage: Stage): HeldBan | undefined {
    for (const { key, byValue } of this.#byKey.values()) {
      if (key.stage > stage) continue;
      const value = key.of(session);
      const ban = value === undefined ? undefined : byValue.get(value);
      if (ban && holds(ban)) return ban;
    }
    return undefined;
  }

  #prefixes({ length }: Uint8Array): PrefixMap<number, HeldBan> | PrefixMap<string, HeldBan> {
    return length === 4 ? this.#v4 : this.#v6;
  }

  #newKey(name: string): KeyBans | undefined {
    const key = limitKeyOf(name);
    if (key === undefined) return undefined;
    const known = { key: keyOf(key), byValue: new Map<string, HeldBan>() };
    this.#byKey.set(name, known);
    return known;
  }
}

function holds({ untilMs }: HeldBan): boolean {
  return untilMs > Date.now();
}
