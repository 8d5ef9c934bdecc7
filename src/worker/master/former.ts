import type { Dicts } from "../../shared/dict/open-dicts.ts";
import type { EventRelay } from "../../shared/events/relay.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { ServedPort } from "../ports.ts";
import type { WorkerCalls } from "./calls.ts";
import type { Leases } from "./leases.ts";

/** A gateway that was one process, in the process that has become the master: it serves until workers do, and keeps its sessions. */
export interface Former {
  /** What it serves, and the number of that generation. */
  readonly loaded: LoadedGateway;
  readonly generation: number;
  /** Generations that it has had. */
  readonly generations: number;
  readonly dicts: Dicts | undefined;
  /** Where it listens. */
  readonly served: readonly ServedPort[];
  /** The master's from here on. */
  readonly leases: Leases;
  readonly events: EventRelay;
  readonly calls: WorkerCalls;
  /** Resolves when it has ended: its last session, and what it has open. */
  readonly ended: Promise<void>;
  /** So many workers serve beside it. */
  joinedBy(workers: number): void;
  /** Accepts no more, since workers do. May be told more than once. */
  leave(): void;
  /** Ends its sessions, and with them itself. */
  end(how: "quick" | "drain", overMs?: number): Promise<void>;
}
