import type {
  BandwidthLimit,
  ConnLimit,
  CountLimit,
  LimitConfig,
  LimitKey,
  RateLimit,
  ReqLimit,
} from "../../../stream/limits/limit-config.ts";
import {
  checked,
  either,
  flag,
  hook,
  isRecord,
  list,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  shape,
  status,
  text,
  whole,
} from "./schema.ts";

const WHAT =
  "a limit: { conn, per }, { req, per }, { count, windowMs, per }, { capacity, intervalMs, per } or { bytesPerSecond, per }";

const variable = shape("{ var }", { var: text("the name of a variable") });
const compute = hook<Extract<LimitKey, (...args: never[]) => unknown>>();

type Computed = Exclude<LimitKey, string>;

/** A function is for code; in data no value can be one. */
function keyBy<Word extends string>(word: Schema<Word>): Schema<Word | Computed> {
  return either<Word | Computed>((input) => {
    if (isRecord(input)) return variable;
    return typeof input === "function" ? compute : word;
  });
}

const key = keyBy(oneOf("address", "subnet", "serverName", "clientId", "ja4"));
const keyOrSession = keyBy(oneOf("session", "address", "subnet", "serverName", "clientId", "ja4"));

const perSecond = checked(
  (value): value is number => typeof value === "number" && value > 0 && value < Number.POSITIVE_INFINITY,
  "a number above 0",
);

const common = { name: maybe(text("a name")), dryRun: maybe(flag) };
const gate = { ...common, per: key, status: maybe(status), cluster: maybe(flag) };

const conn: Schema<ConnLimit> = shape(WHAT, {
  conn: whole(1),
  burst: maybe(whole(0)),
  delayMs: maybe(milliseconds(0)),
  ...gate,
});
const req: Schema<ReqLimit> = shape(WHAT, { req: perSecond, burst: maybe(whole(0)), ...gate });
const count: Schema<CountLimit> = shape(WHAT, { count: whole(1), windowMs: milliseconds(), ...gate });
const rate: Schema<RateLimit> = shape(WHAT, {
  capacity: whole(1),
  intervalMs: milliseconds(),
  quantum: maybe(whole(1)),
  maxWaitMs: maybe(milliseconds(0)),
  ...gate,
});

const directions = shape("{ up, down }", { up: maybe(perSecond), down: maybe(perSecond) });
const bandwidth: Schema<BandwidthLimit> = shape(WHAT, {
  bytesPerSecond: either<BandwidthLimit["bytesPerSecond"]>((input) => (isRecord(input) ? directions : perSecond)),
  per: keyOrSession,
  ...common,
});

const unknown: Schema<never> = checked((_): _ is never => false, WHAT);

/** The limits of a server or a route; the key that says what is limited says what else there may be. */
export const limits: Schema<readonly LimitConfig[]> = list(
  either<LimitConfig>((input) => {
    if (!isRecord(input)) return unknown;
    if ("conn" in input) return conn;
    if ("req" in input) return req;
    if ("count" in input) return count;
    if ("capacity" in input) return rate;
    return "bytesPerSecond" in input ? bandwidth : unknown;
  }),
  "a list of limits",
);
