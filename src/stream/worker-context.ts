import type { Registry } from "../registry/registry.ts";
import type { SharedDict } from "../shared/dict/shared-dict.ts";

/** The process that serves, as hooks see it: `session.worker`, and what `initWorker` is handed. */
export interface WorkerContext {
  /** `masterId` × 10 + `number`. In this version there is one process, and its numbers are 0. */
  readonly id: number;
  readonly number: number;
  readonly masterId: number;
  /** Where `peers: registry(…)` looks; in this version, the memory of this process. */
  readonly registry: Registry;
  /** Dictionaries that all workers share, by name: `shared` of the configuration. OpenResty: `ngx.shared`. */
  readonly shared: Readonly<Record<string, SharedDict>>;
  /** Counts the configurations that this process has had, from 1. */
  readonly generation: number;
  /** Aborts when that configuration is over: another has taken its place and its last session has left, or the process stops. */
  readonly signal: AbortSignal;
}
