import * as v from "valibot";
import { amqp } from "../../../preread/amqp.ts";
import { bytes } from "../../../preread/bytes.ts";
import type { Condition } from "../../../preread/condition.ts";
import { dns } from "../../../preread/dns.ts";
import { http } from "../../../preread/http.ts";
import { http2 } from "../../../preread/http2.ts";
import { lengthPrefixed } from "../../../preread/length-prefixed.ts";
import { mqtt } from "../../../preread/mqtt.ts";
import { type MsgpackCondition, msgpack } from "../../../preread/msgpack.ts";
import { postgres } from "../../../preread/postgres.ts";
import { rdp } from "../../../preread/rdp.ts";
import { redis } from "../../../preread/redis.ts";
import { mismatch, type Sniffer } from "../../../preread/sniffer.ts";
import { socks } from "../../../preread/socks.ts";
import { ssh } from "../../../preread/ssh.ts";
import { tls } from "../../../preread/tls.ts";
import { xmpp } from "../../../preread/xmpp.ts";
import {
  byName,
  checked,
  either,
  flag,
  isRecord,
  made,
  maybe,
  oneOf,
  type Schema,
  shape,
  text,
  whole,
} from "../schema/schema.ts";

const REGEXP = { pattern: text("a regular expression"), flags: maybe(text("flags, like i")) };

/** A regular expression, which data cannot write: `{ pattern: "^bot-", flags: "i" }`. */
const pattern: Schema<RegExp> = made(shape("{ pattern }", REGEXP), regExpOf);

function regExpOf(written: { readonly pattern: string; readonly flags?: string }): RegExp {
  return new RegExp(written.pattern, written.flags ?? "");
}

const plainText: Schema<string> = checked((value) => typeof value === "string", "text, or { pattern }");

/** Text stays text, with `*` for any run of characters. */
const condition: Schema<Condition> = either<Condition>((input) => (isRecord(input) ? pattern : plainText));

const plainValue: Schema<string | number | boolean> = checked(
  (value) => typeof value === "string" || typeof value === "number" || typeof value === "boolean",
  "text, a number, true, false, or { pattern }",
);

const valueCondition = either<MsgpackCondition>((input) => (isRecord(input) ? pattern : plainValue));

const WHAT = "an object with conditions";

const whenTls = shape(WHAT, {
  serverName: maybe(condition),
  alpn: maybe(condition),
  version: maybe(condition),
  ja3: maybe(condition),
  ja4: maybe(condition),
});

const whenHttp = shape(WHAT, {
  method: maybe(condition),
  path: maybe(condition),
  host: maybe(condition),
  headers: maybe(byName(condition, "an object of conditions by header")),
});

const whenMqtt = shape(WHAT, {
  clientId: maybe(condition),
  username: maybe(condition),
  version: maybe(oneOf(3, 4, 5)),
});

const whenPostgres = shape(WHAT, { user: maybe(condition), database: maybe(condition) });

const whenMsgpack = byName(valueCondition, "an object of conditions by path");

/** The largest that a length field of four bytes, and so any number here, can say. */
const MAX_LENGTH = 0xffff_ffff;

const whenBytes = shape("an object with prefix or pattern", {
  prefix: maybe(text("text, one character for each byte")),
  pattern: maybe(text("a regular expression")),
  flags: maybe(text("flags, like i")),
  maxBytes: maybe(whole(1, MAX_LENGTH)),
  name: maybe(text("a name for the protocol")),
});

const whenLengthPrefixed = shape("an object with size", {
  size: oneOf(1, 2, 4),
  max: maybe(whole(0, MAX_LENGTH)),
  min: maybe(whole(0, MAX_LENGTH)),
  endian: maybe(oneOf("big", "little")),
  includesHeader: maybe(flag),
  inner: maybe(either((input) => innerSniffer(input))),
});

/** Protocols without conditions. */
const SIMPLE = { amqp, dns, http2, rdp, redis, socks, ssh, xmpp };

/** Each sniffer by its name: a schema for what `when` says, which makes the sniffer. */
const sniffers: ReadonlyMap<string, Schema<Sniffer>> = new Map<string, Schema<Sniffer>>([
  ["bytes", made(whenBytes, bytesOf)],
  ["http", made(whenHttp, http)],
  ["lengthPrefixed", made(whenLengthPrefixed, lengthPrefixed)],
  ["mqtt", made(whenMqtt, (when) => mqtt(when))],
  ["msgpack", made(whenMsgpack, (when) => msgpack(when))],
  ["postgres", made(whenPostgres, postgres)],
  ["tls", made(whenTls, tls)],
  ...Object.entries(SIMPLE).map(([name, make]) => [name, made(shape(WHAT, {}), () => make())] as const),
]);

interface BytesData {
  readonly prefix?: string;
  readonly pattern?: string;
  readonly flags?: string;
  readonly maxBytes?: number;
  readonly name?: string;
}

function bytesOf({ prefix, pattern, flags, ...options }: BytesData): Sniffer {
  if (pattern !== undefined && prefix === undefined) return bytes(regExpOf({ pattern, flags: flags ?? "" }), options);
  if (prefix === undefined || pattern !== undefined) throw new TypeError("expected one of prefix and pattern");
  return bytes(prefix, options);
}

/** The name of a sniffer. */
export const snifferName: Schema<string> = oneOf(...sniffers.keys());

/** Stands in where the name itself is wrong: that is said already, and nothing can be said of its conditions. */
const unknown: Schema<Sniffer> = made(v.unknown(), () => ({ name: "unknown", examples: [], sniff: () => mismatch }));

/** What `when` says, for the sniffer of that name; without `when` it says nothing. */
export function conditionsOf(name: unknown): v.ExactOptionalSchema<Schema<Sniffer>, Record<never, never>> {
  const known = typeof name === "string" ? sniffers.get(name) : undefined;
  return v.exactOptional(known ?? unknown, {});
}

/** A sniffer for the payload of a frame: `{ on: "msgpack", when: { cmd: "login" } }`. */
function innerSniffer(input: unknown): Schema<Sniffer> {
  const entries = { on: snifferName, when: conditionsOf(isRecord(input) && input["on"]) };
  return made(shape("{ on, when }", entries), ({ when }) => when);
}
