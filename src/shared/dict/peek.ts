import { Draft, LIST } from "./draft.ts";
import { timeLeft } from "./entries.ts";
import type { Key } from "./key.ts";
import { FLAGS, LIST_FIRST, OLDER } from "./layout.ts";
import { copyItem } from "./lists.ts";
import type { Shard } from "./shard.ts";
import type { DictValue } from "./shared-dict.ts";

/** An entry as a whole: one value, or the items of a list. */
export type Kept = { readonly flags: number; readonly ttlMs: number } & Content;
type Content =
  | { readonly kind: "value"; readonly value: DictValue }
  | { readonly kind: "list"; readonly items: readonly DictValue[] };

/** `ttlMs` is what is left; 0: for ever. */
export function peek(shard: Shard, key: Key): Kept | undefined {
  const ttlMs = timeLeft(shard, key);
  if (ttlMs === undefined) return undefined;
  const entry = shard.find(key);
  return { ...contentOf(shard, entry), flags: shard.get(entry, FLAGS) >>> 0, ttlMs };
}

function contentOf(shard: Shard, entry: number): Content {
  const draft = new Draft();
  if (shard.typeOf(entry) !== LIST) {
    shard.copyValue(entry, draft);
    return { kind: "value", value: draft.value() };
  }
  const items: DictValue[] = [];
  for (let item = shard.get(entry, LIST_FIRST); item !== 0; item = shard.get(item, OLDER)) {
    copyItem(shard, item, draft);
    items.push(draft.value());
  }
  return { kind: "list", items };
}
