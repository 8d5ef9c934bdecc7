import { attachDicts, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { dictLaws, dictMemoryLaws, type OpenDict } from "../../laws/dict-laws.ts";

function one({ dicts }: { readonly dicts: Readonly<Record<string, SharedDict>> }): SharedDict {
  const { dict } = dicts;
  if (dict === undefined) throw new Error("it was opened above");
  return dict;
}

const STORES: Readonly<Record<string, OpenDict>> = {
  "a dictionary of one process": (dict, now) => one(openDicts({ dict }, { now })),
  "a dictionary that processes share": (dict, now) => one(openDicts({ dict }, { now, isShared: true })),
  "a dictionary that another process has opened": (dict, now) => {
    const opened = openDicts({ dict }, { now, isShared: true });
    return one(attachDicts(opened.handles, { now }));
  },
};

for (const [name, open] of Object.entries(STORES)) {
  dictLaws(name, open);
  dictMemoryLaws(name, open);
}
dictLaws("a dictionary in four shards", (dict, now) => one(openDicts({ dict }, { now, shards: 4 })));
