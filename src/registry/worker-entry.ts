import { readJsonObject } from "../codecs/json-object.ts";
import { type Heartbeat, type HeartbeatOptions, heartbeat } from "./heartbeat.ts";
import type { Registry } from "./registry.ts";

/** In front of the id of each worker. */
export const WORKER_KEYS = "worker:";

/** What a worker says of itself, as JSON under `worker:<id>`. */
export interface WorkerFacts {
  /** Master id × 10 + number. */
  readonly id: number;
  /** Where it listens, or where it can be reached: `10.0.0.9:5050`. */
  readonly address: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Sessions that live. */
  readonly sessions: number;
  /** Number of the configuration that serves. */
  readonly generation: number;
}

/**
 * Registers a worker until what is returned is disposed, then takes it out. `facts` is asked for each beat, every 3 s.
 * None is announced: each announcement reaches all workers of all gateways, and when these come back to an emptied Redis all
 * start in one moment. Who wants to know reads the list, or follows it and sees a change within 2 s. A worker that
 * got another id is registered under that one; one without an id (`facts` answers undefined) is not registered.
 */
export function registerWorker(
  registry: Registry,
  facts: () => WorkerFacts | undefined,
  options: HeartbeatOptions,
): Heartbeat {
  const kept = (): { key: string; value: string } | undefined => {
    const said = facts();
    return said && { key: `${WORKER_KEYS}${said.id}`, value: JSON.stringify(said) };
  };
  return heartbeat(registry, kept, { ...options, announce: false });
}

/** All workers that are registered, in the order of their ids; what is no entry is left out. Rejects with RC_REGISTRY. */
export async function registeredWorkers(registry: Pick<Registry, "list">): Promise<readonly WorkerFacts[]> {
  const entries = await registry.list(WORKER_KEYS);
  const facts = [...entries.values()].flatMap((value) => factsIn(value) ?? []);
  return facts.sort((one, other) => one.id - other.id);
}

/** Anybody may write to a registry. */
function factsIn(value: string): WorkerFacts | undefined {
  const { id, address, pid, startedAt, sessions, generation } = readJsonObject(value) ?? {};
  const areTexts = typeof address === "string" && typeof startedAt === "string";
  if (!areTexts || typeof id !== "number" || typeof pid !== "number") return undefined;
  if (typeof sessions !== "number" || typeof generation !== "number") return undefined;
  return { id, address, pid, startedAt, sessions, generation };
}
