import type { GatewayConfig } from "../gateway.ts";
import type { Dicts } from "../shared/dict/open-dicts.ts";
import { GenerationTimers } from "../shared/generation-timers.ts";
import type { Log } from "../stream/log.ts";
import { contextOf } from "./context-of.ts";
import { compileGeneration, type Generation } from "./generation.ts";
import type { Lasting } from "./lasting.ts";
import { Trial } from "./trial.ts";
import { exitWorker } from "./worker-hooks.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** What a generation is built with, besides its configuration. */
export interface Preparation {
  readonly number: number;
  /** Undefined: it has none. */
  readonly dicts: Dicts | undefined;
  /** With which TLS sessions are resumed; undefined: each certificate has its own. */
  readonly ticketKeys: Buffer | undefined;
}

/** A generation of a worker, with what it has for as long as it may serve. */
export interface Built {
  readonly generation: Generation;
  readonly dicts: Dicts | undefined;
  /** `worker.timer` of its hooks. */
  readonly timers: GenerationTimers;
  /** Aborts `worker.signal` of its hooks. */
  readonly end: AbortController;
}

/** Builds a generation on what outlives them all. Nothing is open to clients yet, no hook of the worker has run; a failure leaves nothing behind. */
export async function build(
  config: GatewayConfig,
  { number, dicts, ticketKeys }: Preparation,
  lasting: Lasting,
  { baseDir, log, sockets }: WorkerOptions,
): Promise<Built> {
  const end = new AbortController();
  const timers = new GenerationTimers();
  const isAlone = sockets === undefined;
  const worker = contextOf(lasting, { number, dicts, timers, signal: end.signal, isAlone });
  const hookWatch = await lasting.watchFor(config);
  const { live, resolver, limits, bans } = lasting;
  const parts = { number, baseDir, log, hookWatch, worker, ticketKeys, live, resolver, limits, bans: bans.table };
  return { generation: await compileGeneration(config, parts), dicts, timers, end };
}

/** It serves nobody new, now or at all: what its timers were for is over. */
export function endTimers({ timers }: Built): void {
  void Trial.atEnd(async () => timers.end());
}

/** Ends what a generation has open; what its hook does not manage in its time, nobody waits for. */
export function endBuilt({ generation, timers, end }: Built, log: Log): Promise<void> {
  return Trial.atEnd(async () => {
    timers.end();
    end.abort();
    await exitWorker(generation, log);
    await generation.close().catch((cause: unknown) => log.error("generation not closed", { err: cause }));
  });
}
