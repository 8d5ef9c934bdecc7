import type { Connection } from "../stream/connection.ts";

/** How often sessions are told to go: often enough that a minute's drain is even, seldom enough that looking at all of them costs nothing. */
const STEP_MS = 250;

/** What those that were told to go may take, before they are cut off. */
const LAST_MS = 5_000;

/** What a drain needs of the sessions. */
interface Drained {
  readonly all: ReadonlySet<Connection>;
  /** Cuts off whatever is left. */
  stop(): void;
}

/**
 * Ends sessions evenly over a time, those first that have moved no byte since the step before: a peer and a network that get them
 * all back at once would suffer. What is left at the end is cut off. Call the result when none is left.
 */
export function drainOver(overMs: number, { all, stop }: Drained): () => void {
  const steps = Math.max(1, Math.ceil(overMs / STEP_MS));
  const moved = new Map<Connection, number>();
  let step = 0;
  const timer = setInterval(() => {
    step++;
    const left = [...all].filter(({ isOver }) => !isOver);
    const idleFirst = left.sort((one, other) => Number(isActive(one, moved)) - Number(isActive(other, moved)));
    const share = step >= steps ? left.length : Math.ceil(left.length / (steps - step + 1));
    for (const session of idleFirst.slice(0, share)) session.stop("drained");
    moved.clear();
    for (const session of left) moved.set(session, bytesOf(session));
    if (step >= steps) {
      clearInterval(timer);
      last = setTimeout(stop, LAST_MS);
    }
  }, STEP_MS);
  let last: NodeJS.Timeout | undefined;
  return () => {
    clearInterval(timer);
    clearTimeout(last);
  };
}

function isActive(session: Connection, before: ReadonlyMap<Connection, number>): boolean {
  return before.get(session) !== bytesOf(session);
}

function bytesOf({ bytesReceived, bytesSent }: Connection): number {
  return bytesReceived + bytesSent;
}
