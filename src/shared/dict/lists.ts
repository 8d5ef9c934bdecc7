import { type Draft, LIST } from "./draft.ts";
import { find } from "./entries.ts";
import type { Key } from "./key.ts";
import {
  blocksFor,
  ITEM,
  ITEM_ORDINAL,
  ITEM_OWNER,
  LIST_FIRST,
  LIST_LAST,
  LIST_LENGTH,
  META,
  NEWER,
  NUMBER_DOUBLE,
  OLDER,
  VALUE_BYTES,
} from "./layout.ts";
import type { Shard } from "./shard.ts";

/** An item to be put in or taken out, and at which end. `list` is an empty list, for the entry that holds the items. */
export interface ItemOrder {
  readonly isLeft: boolean;
  readonly item: Draft;
  readonly list: Draft;
}

/** The new length, or why there is none. Never evicts what has not expired (lua-nginx-module, `lpush`). */
export function push(shard: Shard, key: Key, order: ItemOrder): number | "value not a list" | "no memory" {
  shard.dropExpired();
  const found = find(shard, key);
  const isThere = found !== 0 && !shard.isExpired(found);
  if (isThere && shard.typeOf(found) !== LIST) return "value not a list";
  if (found !== 0 && !isThere) shard.remove(found);
  const needed = blocksFor(order.item.wordCount) + (isThere ? 0 : blocksFor(key.wordCount));
  if (shard.available < needed) return "no memory";
  const list = isThere ? found : shard.insert(key, order.list, 0, 0);
  insertItem(shard, list, order);
  return shard.get(list, LIST_LENGTH);
}

/** An item says whose it is and between which others, so that a list can be found anew from its items. */
function insertItem(shard: Shard, list: number, { isLeft, item: draft }: ItemOrder): void {
  const end = isLeft ? LIST_FIRST : LIST_LAST;
  const otherEnd = isLeft ? LIST_LAST : LIST_FIRST;
  const neighbour = shard.get(list, end);
  const item = shard.take(blocksFor(draft.wordCount));
  shard.set(item, META, draft.type);
  shard.set(item, VALUE_BYTES, draft.byteLength);
  shard.setDouble(item, NUMBER_DOUBLE, draft.number);
  shard.write(item, 0, draft.scratch.words, draft.wordCount);
  shard.set(item, ITEM_OWNER, list);
  shard.set(item, ITEM_ORDINAL, neighbour === 0 ? 0 : shard.get(neighbour, ITEM_ORDINAL) + (isLeft ? -1 : 1));
  shard.setState(item, ITEM);
  shard.set(item, isLeft ? OLDER : NEWER, neighbour);
  shard.set(item, isLeft ? NEWER : OLDER, 0);
  if (neighbour === 0) shard.set(list, otherEnd, item);
  else shard.set(neighbour, isLeft ? NEWER : OLDER, item);
  shard.set(list, end, item);
  shard.set(list, LIST_LENGTH, shard.get(list, LIST_LENGTH) + 1);
}

/** Copies an item out and removes it; false: there is none. */
export function pop(shard: Shard, key: Key, { isLeft, item: into }: ItemOrder): boolean | "value not a list" {
  const list = liveList(shard, key);
  if (typeof list === "string") return list;
  if (list === 0) return false;
  const item = shard.get(list, isLeft ? LIST_FIRST : LIST_LAST);
  copyItem(shard, item, into);
  removeItem(shard, list, item, isLeft);
  return true;
}

export function copyItem(shard: Shard, item: number, into: Draft): void {
  into.type = shard.typeOf(item);
  into.number = shard.getDouble(item, NUMBER_DOUBLE);
  into.byteLength = shard.get(item, VALUE_BYTES);
  into.scratch.reserve(into.byteLength);
  shard.read(item, 0, into.scratch.words, into.wordCount);
}

function removeItem(shard: Shard, list: number, item: number, isLeft: boolean): void {
  const length = shard.get(list, LIST_LENGTH) - 1;
  if (length === 0) {
    shard.remove(list);
    return;
  }
  const neighbour = shard.get(item, isLeft ? OLDER : NEWER);
  shard.giveBack(item, shard.itemBlocks(item));
  shard.set(neighbour, isLeft ? NEWER : OLDER, 0);
  shard.set(list, isLeft ? LIST_FIRST : LIST_LAST, neighbour);
  shard.set(list, LIST_LENGTH, length);
}

export function lengthOf(shard: Shard, key: Key): number | "value not a list" {
  const list = liveList(shard, key);
  return typeof list === "number" && list !== 0 ? shard.get(list, LIST_LENGTH) : list;
}

/** The list of a key, used now; 0: there is none. */
function liveList(shard: Shard, key: Key): number | "value not a list" {
  shard.dropExpired();
  const entry = find(shard, key);
  if (entry === 0 || shard.isExpired(entry)) return 0;
  return shard.typeOf(entry) === LIST ? entry : "value not a list";
}
