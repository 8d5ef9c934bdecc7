import { randomFillSync } from "node:crypto";
import type { DictMemory } from "./blocks.ts";
import type { Clock } from "./clock.ts";
import { type Layout, layoutOf, MAGIC, MAGIC_VALUE, SEED, SHARDS, SIZE_DOUBLE } from "./layout.ts";
import { Members } from "./members.ts";
import type { SharedDict } from "./shared-dict.ts";
import { createSharedMemory, openSharedMemory } from "./shared-memory.ts";
import { dictBytesOf } from "./size.ts";
import { TableDict } from "./table-dict.ts";

/** Where another process finds a dictionary; plain data, for a message. Good while the process that opened it lives and keeps it. */
export interface DictHandle {
  readonly path: string;
  readonly bytes: number;
  /** A path may become another dictionary's; an id does not. */
  readonly id: string;
}

/** Dictionaries of this process by name. */
export interface Dicts {
  readonly dicts: Readonly<Record<string, SharedDict>>;
  /** For `attachDicts` in other processes; empty when the dictionaries are private to this one. */
  readonly handles: Readonly<Record<string, DictHandle>>;
  /** Nobody else is to attach to those that were opened for it alone: closes their descriptors now, instead of when nobody can reach them. */
  letGo(): void;
}

/** How dictionaries are opened. */
export interface OpenDictsOptions {
  /** Other processes are to see them: memory is mapped. Ask `whyNotShared` before. Default: private to this process. */
  readonly isShared?: boolean | undefined;
  /** Dictionaries from before: those with the same name and size stay, with all that is in them. */
  readonly keep?: Dicts | undefined;
  /** For tests. */
  readonly shards?: number | undefined;
  /** For tests. */
  readonly now?: Clock | undefined;
}

/**
 * Opens dictionaries by name and size (`{ sessions: "10m" }`), in the master, or in the one process that there is.
 * OpenResty: `lua_shared_dict`. Nothing needs to be closed: memory goes with the last process that uses it.
 * @throws TypeError for a wrong size, Error where memory cannot be shared
 */
export function openDicts(sizes: Readonly<Record<string, string>>, options: OpenDictsOptions = {}): Dicts {
  const opened = Object.entries(sizes).map(([name, size]): Opened => {
    const bytes = dictBytesOf(size);
    const kept = keptFrom(options.keep, name);
    const isSame = kept?.dict.capacity() === bytes && (kept.handle !== undefined) === (options.isShared ?? false);
    return kept && isSame ? kept : { name, ...open(bytes, options) };
  });
  return collected(opened);
}

/** Opens, in a worker, the dictionaries that another process has opened; those of `keep` that are the same stay. */
export function attachDicts(
  handles: Readonly<Record<string, DictHandle>>,
  { keep, now }: Pick<OpenDictsOptions, "keep" | "now"> = {},
): Dicts {
  const opened = Object.entries(handles).map(([name, handle]): Opened => {
    const kept = keptFrom(keep, name);
    return kept?.handle?.id === handle.id ? kept : { name, dict: attach(handle, now), handle };
  });
  return collected(opened);
}

interface Opened {
  readonly name: string;
  readonly dict: SharedDict;
  readonly handle: DictHandle | undefined;
  /** Of one that was opened just now. */
  readonly letGo?: (() => void) | undefined;
}

function keptFrom(keep: Dicts | undefined, name: string): Opened | undefined {
  const dict = keep !== undefined && Object.hasOwn(keep.dicts, name) ? keep.dicts[name] : undefined;
  return dict && { name, dict, handle: keep?.handles[name] };
}

function collected(opened: readonly Opened[]): Dicts {
  return {
    dicts: Object.freeze(Object.fromEntries(opened.map(({ name, dict }) => [name, dict]))),
    handles: Object.freeze(Object.fromEntries(opened.flatMap(({ name, handle }) => (handle ? [[name, handle]] : [])))),
    letGo: () => {
      for (const { letGo } of opened) letGo?.();
    },
  };
}

function open(sizeBytes: number, { isShared, shards, now }: OpenDictsOptions): Omit<Opened, "name"> {
  const layout = layoutOf(sizeBytes, shards);
  const shared = isShared ? createSharedMemory(layout.totalBytes) : undefined;
  const memory = viewsOf(shared?.buffer ?? new ArrayBuffer(layout.totalBytes));
  begin(memory, layout);
  const dict = new TableDict({ memory, layout, now, members: shared && membersOf(memory) });
  return {
    dict,
    handle: shared && { path: shared.path, bytes: layout.totalBytes, id: idOf(memory) },
    letGo: shared?.letGo,
  };
}

/** Zeros are an empty dictionary; only these facts are not 0. */
function begin({ words, doubles }: DictMemory, { sizeBytes, shards }: Layout): void {
  randomFillSync(words, SEED, 2);
  doubles[SIZE_DOUBLE] = sizeBytes;
  words[SHARDS] = shards;
  words[MAGIC] = MAGIC_VALUE;
}

function attach({ path, bytes, id }: DictHandle, now: Clock | undefined): SharedDict {
  const memory = viewsOf(openSharedMemory(path, bytes));
  const { words, doubles } = memory;
  const layout = layoutOf(doubles[SIZE_DOUBLE] ?? 0, words[SHARDS]);
  const isRight = words[MAGIC] === MAGIC_VALUE && layout.totalBytes === bytes && idOf(memory) === id;
  if (!isRight) throw new Error(`this shared dictionary is not in ${path}`);
  return new TableDict({ memory, layout, now, members: membersOf(memory) });
}

/** The seed of the keys is random and never changes. */
function idOf({ words }: DictMemory): string {
  return `${words[SEED]}:${words[SEED + 1]}`;
}

function membersOf({ words, doubles }: DictMemory): Members {
  return new Members(words, doubles);
}

function viewsOf(buffer: ArrayBuffer): DictMemory {
  return { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
}
