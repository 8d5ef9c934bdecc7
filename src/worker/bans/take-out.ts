import { setTimeout as sleep } from "node:timers/promises";
import type { Registry } from "../../registry/registry.ts";
import { backoffMs } from "../../shared/backoff.ts";

/** Of workers that see the same the first does it, and the others hear of it. */
const SPREAD_MS = 500;

/** Keys under way at once. */
const AT_ONCE = 64;

const RETRY = { minRetryMs: 250, maxRetryMs: 2_000 };

/** What is to be taken out. */
export interface Outdated {
  readonly registry: Pick<Registry, "get" | "delete">;
  readonly keys: readonly string[];
  /** False: somebody means what the key says now. */
  isOutdated(key: string, value: string): boolean;
  onOut(key: string): void;
}

/** Takes keys out of the registry that came back by accident, as long as they have a value that did. Resolves when they are out. */
export async function takeOut({ registry, keys, isOutdated, onOut }: Outdated, signal: AbortSignal): Promise<void> {
  const out = async (key: string): Promise<void> => {
    const value = await registry.get(key);
    if (value !== undefined && isOutdated(key, value)) await registry.delete(key);
    onOut(key);
  };
  await pause(Math.random() * SPREAD_MS, signal);
  for (let at = 0, failures = 0; at < keys.length && !signal.aborted; ) {
    try {
      await Promise.all(keys.slice(at, at + AT_ONCE).map(out));
      at += AT_ONCE;
    } catch {
      await pause(backoffMs(++failures, RETRY), signal); // after the doubt there is nothing outdated any more
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
