import type { Registry } from "../../registry/registry.ts";
import { WORKER_KEYS } from "../../registry/worker-entry.ts";

/** Entries are put again every 3 s: nobody knows more than that. So a broadcast costs a walk through the registry once in that time. */
const KNOWN_MS = 3_000;

/** What is known of workers without the registry. */
interface OwnWorkers {
  /** How many processes this gateway has. */
  count(): number;
  /** Id of the first of them. */
  firstId(): number;
}

/** Which workers live, by their ids: those in the registry, and where it cannot be asked those of this gateway. */
export function livingWorkers(
  registry: Pick<Registry, "list"> | undefined,
  own: OwnWorkers,
): () => Promise<ReadonlySet<number>> {
  let known: Promise<ReadonlySet<number>> | undefined;
  let until = 0;
  const siblings = (): ReadonlySet<number> => {
    const first = own.firstId();
    return new Set(Array.from({ length: own.count() }, (_, number) => first + number));
  };
  const listed = async (from: Pick<Registry, "list">): Promise<ReadonlySet<number>> => {
    const keys = await from.list(WORKER_KEYS).catch(() => undefined);
    return keys ? new Set([...keys.keys()].map(idOf).filter(Number.isInteger)) : siblings();
  };
  return () => {
    if (!registry) return Promise.resolve(siblings());
    if (known && performance.now() < until) return known;
    known = listed(registry);
    until = performance.now() + KNOWN_MS;
    return known;
  };
}

function idOf(key: string): number {
  return Number(key.slice(WORKER_KEYS.length) || Number.NaN);
}
