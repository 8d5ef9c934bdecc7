import { setTimeout as sleep } from "node:timers/promises";
import type { Loss } from "../../registry/redis/loss.ts";
import { backoffMs } from "../../shared/backoff.ts";

/** Of workers that see the same the first does it, and the others hear of it. */
const SPREAD_MS = 500;

/** Keys under way at once. */
const AT_ONCE = 64;

const RETRY = { minRetryMs: 250, maxRetryMs: 2_000 };

/** What is to be taken out. */
export interface Outdated {
  readonly loss: Pick<Loss, "read" | "swap" | "tellOut">;
  readonly keys: readonly string[];
  /** What the key says; undefined: somebody means that. */
  outdated(key: string, value: string): string | undefined;
  onOut(key: string): void;
}

/**
 * Takes keys out of Redis that came back by accident, as long as they have a value that did. Others are told what it was: who holds it
 * lets go of it, and who holds a newer one of the same puts that back. Resolves when they are out.
 */
export async function takeOut({ loss, keys, outdated, onOut }: Outdated, signal: AbortSignal): Promise<void> {
  const out = async (key: string, value: string | undefined): Promise<void> => {
    const text = value === undefined ? undefined : outdated(key, value);
    if (text !== undefined && (await loss.swap(key, { before: value, value: undefined }))) loss.tellOut({ key, text });
    onOut(key);
  };
  await pause(Math.random() * SPREAD_MS, signal);
  for (let at = 0, failures = 0; at < keys.length && !signal.aborted; ) {
    try {
      const some = keys.slice(at, at + AT_ONCE);
      const values = await loss.read(some);
      await Promise.all(some.map((key, index) => out(key, values[index])));
      at += AT_ONCE;
    } catch {
      await pause(backoffMs(++failures, RETRY), signal); // after the doubt there is nothing outdated any more
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
