import type { Dicts } from "../shared/dict/open-dicts.ts";
import type { GenerationTimers } from "../shared/generation-timers.ts";
import { sharedTools } from "../shared/tools.ts";
import type { WorkerContext } from "../stream/worker-context.ts";
import type { Lasting } from "./lasting.ts";

/** What of a worker's context is one generation's. */
interface OfGeneration {
  readonly number: number;
  readonly dicts: Dicts | undefined;
  readonly timers: GenerationTimers;
  /** Aborts when the generation is over. */
  readonly signal: AbortSignal;
  /** There is no other process whose memory could be shared. */
  readonly isAlone: boolean;
}

/** The worker as the hooks of one generation see it. */
export function contextOf(lasting: Lasting, { number, dicts, timers, signal, isAlone }: OfGeneration): WorkerContext {
  const { registry, identity, links, events, bans, sessions } = lasting;
  const shared = dicts?.dicts ?? {};
  return {
    ...sharedTools(shared, { events, isAlone }),
    get id() {
      return identity.id;
    },
    get masterId() {
      return identity.masterId;
    },
    number: identity.number,
    registry,
    links,
    sessions,
    bans,
    events,
    snowflake: identity.snowflake,
    shared,
    timer: timers,
    generation: number,
    get isReplaced() {
      return timers.rests || timers.isOver;
    },
    signal,
  };
}
