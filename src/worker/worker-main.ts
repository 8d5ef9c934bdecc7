import process from "node:process";
import { attachDicts } from "../shared/dict/open-dicts.ts";
import type { EventDelivery, EventTransport } from "../shared/events/message.ts";
import { createLog, type OpenLog } from "./log.ts";
import type { CallMessage, StartMessage, ToMaster, ToWorker } from "./master/calls.ts";
import { failureOf } from "./master/failure.ts";
import { InheritedSockets } from "./master/inherited-sockets.ts";
import { loadFirstSource } from "./master/load-source.ts";
import { LocalWorker } from "./master/local-worker.ts";
import { watchOrphan } from "./orphan-watch.ts";
import { isFault, LAST_DRAIN_MS, WORKER_STOP_MS } from "./process-end.ts";
import { endProcess, Trial } from "./trial.ts";
import { Worker } from "./worker.ts";

// What a worker's process runs: it serves, and does what its master says. Without a master it ends.

/** How this process ends: its sessions at once, by themselves, or over a time. */
interface End {
  readonly how: "quick" | "drain";
  readonly overMs?: number | undefined;
  /** Nobody has said when it is to be over, so it is by then. */
  readonly limitMs?: number;
  /** No other worker takes its number. */
  readonly isLast?: boolean;
}

/** What there is once it has started. */
interface Serving {
  readonly worker: Worker;
  readonly calls: LocalWorker;
  readonly log: OpenLog;
  readonly hasLease: boolean;
}

const sockets = new InheritedSockets((name) => tell({ kind: "again", ...name }));
let onEvents: (delivery: EventDelivery) => void = () => {};
const events: EventTransport = {
  send: (messages, done) => tell({ kind: "events", messages }, done),
  onMessage: (listener) => {
    onEvents = listener;
  },
};
let serving: Serving | undefined;
let isEnding = false;
const noticed = watchOrphan();

process.on("message", (message: ToWorker, handle: unknown) => {
  // What comes over this channel was sent by our own code of the same version.
  if (message.kind === "socket") sockets.add(message, handle);
  else if (message.kind === "start") void start(message);
  else if (message.kind === "events") onEvents(message.delivery);
  else if (message.kind === "held") serving?.worker.hold(message.masterId, message.untilMs);
  else if (message.kind === "lost") serving?.worker.identity.lose(message.why);
  else if (message.kind === "call") void answer(message);
  else void end(message);
});
process.on("disconnect", () => {
  noticed(); // the master has gone, and with it whoever would replace or stop us
  void end({ how: "drain", limitMs: LAST_DRAIN_MS });
});
for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]) process.on(signal, () => {}); // a terminal's are the master's to hear
process.on("SIGTERM", () => void end({ how: "quick" }));
process.on("SIGQUIT", () => void end({ how: "drain" }));
process.on("exit", () => serving?.log.flush());
process.on("uncaughtException", (cause, origin) => {
  if (!isFault(cause, origin, serving?.log)) return;
  if (Trial.current?.take(cause)) return;
  process.exitCode = 1;
  if (isEnding) return;
  giveUpNumber(); // before the master hears of it: another worker may have it then
  tell({ kind: "crashed" });
  void end({ how: "drain", limitMs: LAST_DRAIN_MS }); // the state may be broken
});

async function start({ source, ids, hasLease, stateDir }: StartMessage): Promise<void> {
  try {
    const { config, loaded, linksFault } = await loadFirstSource(source);
    const log = createLog(config.log, loaded);
    if (linksFault !== undefined) log.error("links of the start are gone", { err: linksFault });
    const dicts = attachDicts(source.dicts);
    const { generation } = source;
    const ticketKeys = Buffer.from(source.ticketKeys);
    const worker = await Worker.start(config, {
      baseDir: loaded.baseDir,
      log,
      ids,
      stateDir,
      sockets,
      generation,
      dicts,
      ticketKeys,
      events,
    });
    serving = { worker, calls: new LocalWorker(worker, log, onFault), log, hasLease };
    tell({ kind: "ready" });
  } catch (cause) {
    tell({ kind: "failed", reason: failureOf(cause) });
    process.exitCode = 1;
    process.disconnect();
  }
}

function onFault(generation: number, reason: unknown): void {
  tell({ kind: "faulty", generation, reason: failureOf(reason) });
}

async function answer({ id, name, parameters }: CallMessage): Promise<void> {
  try {
    if (!serving) throw new Error("the worker does not serve yet");
    const call: (...parameters: never[]) => Promise<unknown> = serving.calls[name].bind(serving.calls);
    const value = await call(...(parameters as never[]));
    if (name === "abandon") sockets.clear();
    tell({ kind: "answer", id, value });
  } catch (cause) {
    if (name === "prepare") sockets.clear();
    tell({ kind: "refusal", id, reason: failureOf(cause) });
  }
}

async function end({ how, overMs, limitMs, isLast = false }: End): Promise<void> {
  const endMs = how === "quick" ? WORKER_STOP_MS : limitMs;
  if (endMs !== undefined) setTimeout(() => endProcess(), endMs).unref();
  isEnding = true;
  sockets.clear();
  if (!isLast) giveUpNumber();
  try {
    const closing = serving?.worker.close(how, overMs); // from here on it accepts no more
    tell({ kind: "closing" });
    await closing;
  } catch (cause) {
    process.exitCode = 1;
    serving?.log.error("stop failed", { err: cause });
  }
  endProcess();
}

/** Its sessions go on, and make no ids: whoever takes its place does, by the same number. */
function giveUpNumber(): void {
  if (serving && !serving.hasLease) serving.worker.identity.lose("the worker is ending, and another has its number");
}

function tell(message: ToMaster, done = (): void => {}): void {
  if (process.connected && process.send) process.send(message, undefined, {}, done);
  else done();
}
