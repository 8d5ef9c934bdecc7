import type { Registry } from "../registry/registry.ts";

/** The process that serves, as hooks see it: `session.worker`, and what `initWorker` is handed. */
export interface WorkerContext {
  /** `masterId` × 10 + `number`. In this version there is one process, and its numbers are 0. */
  readonly id: number;
  readonly number: number;
  readonly masterId: number;
  /** Where `peers: registry(…)` looks; in this version, the memory of this process. */
  readonly registry: Registry;
}
