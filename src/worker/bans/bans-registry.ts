import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { fileRegistry } from "../../registry/file/file.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Log } from "../../stream/log.ts";

/** Where the bans of a gateway are that shares no registry: in its state folder. */
const FILE = "bans.json";

/** Where bans are kept, and whether nobody else uses it. */
export interface BansRegistry {
  readonly registry: Registry;
  readonly isOwn: boolean;
}

/**
 * Where bans are kept: in the registry, when others share it. Else in a file that all workers of the gateway follow, so that they
 * hold whichever worker dies, and outlive the gateway as in Redis. Without a folder they are this process' own.
 */
export async function bansRegistry(
  registry: Registry,
  { isShared, stateDir, log }: { readonly isShared: boolean; readonly stateDir: string | undefined; readonly log: Log },
): Promise<BansRegistry> {
  const given = { registry, isOwn: false };
  if (isShared || stateDir === undefined) return given;
  try {
    const own = await fileRegistry(join(stateDir, FILE), { warn: (text) => log.warn(`bans: ${text}`) });
    return { registry: own, isOwn: true };
  } catch (cause) {
    log.warn("bans hold in each worker for itself", { reason: messageOf(cause) });
    return given;
  }
}
