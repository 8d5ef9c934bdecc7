import { setTimeout as sleep } from "node:timers/promises";
import type { WorkerStatus } from "./master/calls.ts";
import type { RunningGateway } from "./master/running-gateway.ts";

/** How often a generation that is tried out is judged. */
const JUDGE_MS = 500;

/** Before so many of its sessions have ended, nothing is known of it. */
const JUDGED_SESSIONS = 20;

/** So many failures more than the others' share are no accident: sessions fail by their peers, too. */
const MORE_FAILURES = 0.1;

/** Why a canary is to go, for the log. */
export type CanaryFault = Readonly<Record<string, number | string>>;

/**
 * Looks at a canary again and again, until it fails or `signal` aborts: by how its sessions end, beside the others', and by workers
 * that crash. Resolves with what is wrong; undefined: it was over before.
 */
export async function judgeCanary(gateway: RunningGateway, signal: AbortSignal): Promise<CanaryFault | undefined> {
  for (;;) {
    await sleep(JUDGE_MS, undefined, { ref: false });
    if (signal.aborted) return undefined;
    const fault = gateway.canaryFault ?? faultOf(await gateway.status());
    if (signal.aborted) return undefined; // a worker may take its time to answer
    if (fault) return fault;
  }
}

function faultOf(workers: readonly WorkerStatus[]): CanaryFault | undefined {
  const own = sum(workers.map(({ canary }) => canary?.own));
  const others = sum(workers.map(({ canary }) => canary?.others));
  if (own.ended < JUDGED_SESSIONS) return undefined;
  const usual = others.failed / Math.max(1, others.ended);
  if (own.failed / own.ended <= usual + MORE_FAILURES) return undefined;
  return { sessions: own.ended, failed: own.failed };
}

type Ends = NonNullable<WorkerStatus["canary"]>["own"];

function sum(all: readonly (Ends | undefined)[]): Ends {
  const known = all.filter((ends) => ends !== undefined);
  return {
    ended: known.reduce((total, { ended }) => total + ended, 0),
    failed: known.reduce((total, { failed }) => total + failed, 0),
  };
}
