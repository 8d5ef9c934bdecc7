import { type IpRange, ipRange, ipRangeText } from "../../codecs/ip-range.ts";
import type { LimitKey } from "../limits/limit-config.ts";
import { boundedKey, keyOf, type Stage, subnetOf } from "../limits/limit-key.ts";
import type { Session } from "../session.ts";

/** Whom a ban means: addresses, or all who have the same value of a key of limits. `text` is the one way to write it. */
export type Whom =
  | { readonly kind: "range"; readonly text: string; readonly range: IpRange }
  | { readonly kind: "key"; readonly text: string; readonly name: string; readonly value: string };

/** In front of the name of a variable: `var:tenant=acme`. */
export const VARIABLE = "var:";

/** Names of variables are names of properties that a configuration's author has typed. */
const VARIABLE_NAME = /^var:\w{1,64}$/;

/** What `whomOf` takes, for messages. */
export const WHOM_WORDS =
  "an address, a subnet like 203.0.113.0/24, or clientId=, serverName=, ja4= or var:name= with a value";

/**
 * Reads whom a ban means, as `restyconf ban`, hooks, game servers and keys of the registry say it: `203.0.113.7`,
 * `2001:db8::/32`, `clientId=bot-7`, `var:tenant=acme`. Undefined: it means nobody.
 */
export function whomOf(text: string): Whom | undefined {
  const cut = text.indexOf("=");
  if (cut === -1) return rangeWhom(text);
  const name = text.slice(0, cut);
  const value = text.slice(cut + 1);
  switch (name) {
    case "address":
      return value.includes("/") ? undefined : rangeWhom(value);
    case "subnet":
      return rangeWhom(value.includes("/") ? value : subnetOf(value));
    case "serverName":
      return keyWhom(name, value.toLowerCase());
    case "clientId":
    case "ja4":
      return keyWhom(name, value);
    default:
      return VARIABLE_NAME.test(name) ? keyWhom(name, value) : undefined;
  }
}

/**
 * Whom a session is that has come so far, by one of its keys: `address`, `subnet`, `clientId`, … Undefined: it has none such, or not
 * yet. A variable is computed once, so it is not asked for before its time. @throws what a variable throws
 */
export function whomBy(session: Session, name: string, stage: Stage): Whom | undefined {
  const limit = limitKeyOf(name);
  const key = limit && keyOf(limit);
  const value = key && key.stage <= stage ? key.of(session) : undefined;
  return value === undefined ? undefined : whomOf(`${name}=${value}`);
}

/** The key of limits that a name means; undefined: it is none that can be written. */
export function limitKeyOf(name: string): LimitKey | undefined {
  switch (name) {
    case "address":
    case "subnet":
    case "serverName":
    case "clientId":
    case "ja4":
      return name;
    default:
      return VARIABLE_NAME.test(name) ? { var: name.slice(VARIABLE.length) } : undefined;
  }
}

function rangeWhom(text: string): Whom | undefined {
  const range = ipRange(text);
  return range && { kind: "range", text: ipRangeText(range), range };
}

function keyWhom(name: string, text: string): Whom | undefined {
  const value = boundedKey(text);
  return value === undefined ? undefined : { kind: "key", text: `${name}=${value}`, name, value };
}
