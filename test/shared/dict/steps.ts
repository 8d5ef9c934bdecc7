import fc from "fast-check";
import type { DictValue, ListValue, SharedDict, StoreOptions } from "../../../src/shared/dict/shared-dict.ts";
import type { Model } from "./model.ts";

/** One call, done on the real dictionary and on the model: both answer the same. */
export interface Step {
  readonly name: string;
  readonly real: (dict: SharedDict) => unknown;
  readonly model: (model: Model) => unknown;
}

const key = fc.constantFrom("a", "b", "c", "a long key of more than 64 bytes ".repeat(4), "\u952e", "7");
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.integer({ max: 700, min: 0 }).map((size) => "t".repeat(size)),
);
const value: fc.Arbitrary<DictValue> = fc.oneof(
  fc.boolean(),
  fc.double(),
  fc.integer({ min: -3, max: 3 }),
  text,
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
const item: fc.Arbitrary<ListValue> = fc.oneof(fc.double(), text);
const options: fc.Arbitrary<StoreOptions> = fc.record({
  ttlMs: fc.constantFrom(0, 0, 5, 50),
  flags: fc.constantFrom(0, 1, 0xff_ff_ff_ff),
});

const STORED = { ok: true, forcible: false };
const refused = (err: string) => ({ ok: false, err, forcible: false });
const isSame = (one: unknown, other: unknown): boolean =>
  one instanceof Uint8Array && other instanceof Uint8Array
    ? Buffer.compare(one, other) === 0
    : one === other || Object.is(one, other);

const set = fc.tuple(key, value, options, fc.constantFrom("set" as const, "safeSet" as const)).map(
  ([key, value, options, call]): Step => ({
    name: `${call} ${key}`,
    real: (dict) => dict[call](key, value, options),
    model: (model) => {
      model.put(key, value, options);
      return STORED;
    },
  }),
);
const add = fc.tuple(key, value, options, fc.constantFrom("add" as const, "replace" as const)).map(
  ([key, value, options, call]): Step => ({
    name: `${call} ${key}`,
    real: (dict) => dict[call](key, value, options),
    model: (model) => {
      const isThere = model.live(key) !== undefined;
      if (call === "add" && isThere) return refused("exists");
      if (call === "replace" && !isThere) return refused("not found");
      model.put(key, value, options);
      return STORED;
    },
  }),
);
const get = key.map(
  (key): Step => ({
    name: `get ${key}`,
    real: (dict) => (dict.llen(key).err === undefined ? undefined : dict.get(key)),
    model: (model) => model.get(key),
  }),
);
const ttl = key.map(
  (key): Step => ({
    name: `ttl ${key}`,
    real: (dict) => dict.ttl(key),
    model: (model) => {
      const expires = model.live(key)?.expires;
      return expires === undefined ? { err: "not found" } : { value: expires === 0 ? 0 : expires - model.now };
    },
  }),
);
const expire = fc.tuple(key, fc.constantFrom(0, 5, 50)).map(
  ([key, ms]): Step => ({
    name: `expire ${key}`,
    real: (dict) => dict.expire(key, ms).ok,
    model: (model) => {
      const isThere = model.live(key) !== undefined;
      model.change(key, { expires: ms === 0 ? 0 : model.now + ms });
      return isThere;
    },
  }),
);
const incr = fc.tuple(key, fc.integer({ min: -9, max: 9 }), fc.option(fc.integer(), { nil: undefined })).map(
  ([key, by, init]): Step => ({
    name: `incr ${key}`,
    real: (dict) => dict.incr(key, by, init),
    model: (model) => {
      const old = model.live(key)?.value;
      if (old === undefined && init === undefined) return { err: "not found" };
      if (old !== undefined && typeof old !== "number") return { err: "not a number" };
      const value = (old ?? init ?? 0) + by;
      if (old === undefined) model.put(key, value);
      else model.change(key, { value });
      return { value };
    },
  }),
);
const push = fc.tuple(key, item, fc.boolean()).map(
  ([key, item, isLeft]): Step => ({
    name: `push ${key}`,
    real: (dict) => (isLeft ? dict.lpush(key, item) : dict.rpush(key, item)),
    model: (model) => {
      const list = model.list(key);
      if (list === undefined && model.live(key)) return { err: "value not a list" };
      const longer = isLeft ? [item, ...(list ?? [])] : [...(list ?? []), item];
      if (list) model.change(key, { value: longer });
      else model.put(key, longer);
      return { value: longer.length };
    },
  }),
);
const pop = fc.tuple(key, fc.boolean()).map(
  ([key, isLeft]): Step => ({
    name: `pop ${key}`,
    real: (dict) => (isLeft ? dict.lpop(key) : dict.rpop(key)),
    model: (model) => {
      const list = model.list(key);
      if (list === undefined) return model.live(key) ? { err: "value not a list" } : { value: undefined };
      const value = isLeft ? list[0] : list.at(-1);
      const rest = isLeft ? list.slice(1) : list.slice(0, -1);
      if (rest.length === 0) model.put(key, undefined);
      else model.change(key, { value: rest });
      return { value };
    },
  }),
);
const cas = fc.tuple(key, fc.option(value, { nil: undefined }), value, fc.boolean()).map(
  ([key, expected, value, isRight]): Step => ({
    name: `cas ${key}`,
    real: (dict) => {
      const found = dict.llen(key).err === undefined ? undefined : dict.get(key);
      return dict.cas(key, isRight ? found : expected, value);
    },
    model: (model) => {
      const list = model.list(key);
      const found = model.get(key);
      if (list !== undefined || !(isRight || isSame(found, expected))) return false;
      model.put(key, value);
      return true;
    },
  }),
);
const remove = key.map(
  (key): Step => ({
    name: `delete ${key}`,
    real: (dict) => dict.delete(key),
    model: (model) => {
      model.put(key, undefined);
      return STORED;
    },
  }),
);
const flush = fc.constant<Step>({
  name: "flushAll",
  real: (dict) => dict.flushAll(),
  model: (model) => {
    model.entries.clear();
  },
});

/** Any call with any arguments. */
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: set },
  { weight: 2, arbitrary: add },
  { weight: 4, arbitrary: get },
  ttl,
  expire,
  { weight: 3, arbitrary: incr },
  { weight: 4, arbitrary: push },
  { weight: 4, arbitrary: pop },
  { weight: 2, arbitrary: cas },
  remove,
  { weight: 1, arbitrary: flush },
);
