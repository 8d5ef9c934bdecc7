import { type Debugger, Session } from "node:inspector";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { type Frame, type ThreadInput, type ThreadMessage, words } from "./words.ts";

// Watches the event loop from beside it: when a hook holds it, looks at the stack, and says where.

/** A hold of this length is worth a look: looking takes some milliseconds too, and must not come too late. */
const LOOK_MS = 30;

/** A hold of this length is told of. */
const SLOW_MS = 50;

/** How often the event loop is looked at while hooks run. */
const POLL_MS = 10;

/** How often, at least, while hooks wait and none is called; where signs of life are quicker, as often as they. */
const DOZE_MS = 50;

/** So long after the last call the thread stays awake: waking it is dearer than a few looks. */
const AWAKE_MS = 500;

/** A look stops the event loop for some milliseconds, so there is no second one before this time. */
const LOOK_EVERY_MS = 1_000;

/** After the end of a hold the answer may still be on its way for so long. */
const GRACE_MS = 100;

/** Frames below these are of no interest. */
const MAX_FRAMES = 50;

/** The event loop as it is at one moment. */
interface Moment {
  readonly calls: number;
  readonly beats: number;
  readonly beatDueMs: number;
}

/** The event loop has not moved on for too long. */
interface Hold {
  readonly moment: Moment;
  /** By `performance.now()`, and at the latest. */
  readonly beganAt: number;
}

const { memory }: ThreadInput = workerData;
const shared = new Int32Array(memory);
let lookedAt = Number.NEGATIVE_INFINITY;

function now(): Moment {
  return {
    calls: Atomics.load(shared, words.calls),
    beats: Atomics.load(shared, words.beats),
    beatDueMs: Atomics.load(shared, words.beatDueMs),
  };
}

const isInCall = ({ calls }: Moment): boolean => calls % 2 !== 0;

function isHeld({ moment }: Hold): boolean {
  const { calls, beats } = now();
  return calls === moment.calls && beats === moment.beats;
}

/** Blocks this thread until the event loop is held. */
function nextHold(): Hold {
  let seen = now();
  let calledAt = performance.now();
  let beatAt = calledAt;
  for (let activeAt = calledAt; ; ) {
    rest(seen, activeAt);
    const at = performance.now();
    const next = now();
    if (next.calls !== seen.calls) calledAt = at;
    if (next.beats !== seen.beats || next.beatDueMs !== seen.beatDueMs) beatAt = at;
    if (next.calls !== seen.calls || isInCall(next)) activeAt = at;
    seen = next;
    const beganAt = isInCall(seen)
      ? calledAt
      : Math.max(calledAt, beatAt + (seen.beatDueMs || Number.POSITIVE_INFINITY));
    if (at - beganAt >= LOOK_MS) return { moment: seen, beganAt };
  }
}

/** Waits for the time of the next look; without anything to watch, for the next call. */
function rest({ calls, beatDueMs }: Moment, activeAt: number): void {
  if (performance.now() - activeAt < AWAKE_MS) {
    Atomics.wait(shared, words.never, 0, POLL_MS);
    return;
  }
  const wake = Atomics.load(shared, words.wake);
  Atomics.store(shared, words.isAsleep, 1);
  // A call that came just before has not seen the word: then there is no sleep.
  if (Atomics.load(shared, words.calls) === calls) {
    Atomics.wait(shared, words.wake, wake, beatDueMs === 0 ? Number.POSITIVE_INFINITY : Math.min(beatDueMs, DOZE_MS));
  }
  Atomics.store(shared, words.isAsleep, 0);
}

/** The stack of the event loop while it is held; empty when it has moved on before it could be stopped. */
async function stackOf(hold: Hold, ended: Promise<unknown>): Promise<readonly Frame[]> {
  const session = new Session();
  session.connectToMainThread();
  const urls = new Map<string, string>(); // frames name their scripts by number
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  const seen = new Promise<readonly Frame[]>((resolve) => {
    session.once("Debugger.paused", ({ params }) => {
      const isSame = isHeld(hold);
      session.post("Debugger.resume"); // before anything else: all clients wait
      const frames = isSame ? params.callFrames.slice(0, MAX_FRAMES) : [];
      resolve(frames.map((frame) => frameOf(frame, urls.get(frame.location.scriptId) ?? "")));
    });
  });
  session.post("Debugger.enable");
  session.post("Debugger.pause"); // native code is seen when it returns
  const late = ended.then(() => delay(GRACE_MS)).then(() => []);
  const frames = await Promise.race([seen, late]);
  session.post("Debugger.disable");
  session.disconnect();
  return frames;
}

function frameOf({ functionName, location }: Debugger.CallFrame, url: string): Frame {
  return { functionName, url, line: location.lineNumber, column: location.columnNumber ?? 0 };
}

/** Resolves with the time when the event loop was seen to move on. */
async function endOf(hold: Hold): Promise<number> {
  while (isHeld(hold)) await delay(POLL_MS);
  return performance.now();
}

/** Undefined: too short, or too soon after the last. */
async function describe(hold: Hold): Promise<ThreadMessage | undefined> {
  const isDue = performance.now() - lookedAt >= LOOK_EVERY_MS;
  if (isDue) lookedAt = performance.now();
  const phase = isInCall(hold.moment) ? Atomics.load(shared, words.phase) : undefined;
  const isDebugged = Atomics.load(shared, words.isDebugged) === 1;
  const ended = endOf(hold);
  const frames = isDue && !isDebugged ? await stackOf(hold, ended) : [];
  const heldMs = Math.round((await ended) - hold.beganAt);
  return isDue && heldMs >= SLOW_MS ? { kind: "held", phase, heldMs, frames } : undefined;
}

/** The first look of a process takes some forty milliseconds. Before any client is there, nobody minds. */
async function warmUp(): Promise<void> {
  const alive = setInterval(() => {}, POLL_MS); // an answer that is awaited would not keep the thread
  const session = new Session();
  session.connectToMainThread();
  await new Promise((resolve) => session.post("Debugger.enable", resolve));
  session.post("Debugger.disable");
  session.disconnect();
  clearInterval(alive);
}

function tell(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

await warmUp();
tell({ kind: "ready" });
for (;;) {
  const message = await describe(nextHold());
  if (message) tell(message);
}
