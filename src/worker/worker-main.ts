import process from "node:process";
import { attachDicts } from "../shared/dict/open-dicts.ts";
import type { EventDelivery, EventTransport } from "../shared/events/message.ts";
import { createLog, type OpenLog } from "./log.ts";
import type { CallMessage, StartMessage, ToMaster, ToWorker } from "./master/calls.ts";
import { failureOf } from "./master/failure.ts";
import { InheritedSockets } from "./master/inherited-sockets.ts";
import { loadSource } from "./master/load-source.ts";
import { LocalWorker } from "./master/local-worker.ts";
import { isFault, LAST_DRAIN_MS, QUICK_STOP_MS } from "./process-end.ts";
import { Worker } from "./worker.ts";

// What a worker's process runs: it serves, and does what its master says. Without a master it ends.

const sockets = new InheritedSockets();
let onEvents: (delivery: EventDelivery) => void = () => {};
const events: EventTransport = {
  send: (messages, done) => tell({ kind: "events", messages }, done),
  onMessage: (listener) => {
    onEvents = listener;
  },
};
let serving: { readonly worker: Worker; readonly calls: LocalWorker; readonly log: OpenLog } | undefined;
let isEnding = false;

process.on("message", (message: ToWorker, handle: unknown) => {
  // What comes over this channel was sent by our own code of the same version.
  if (message.kind === "socket") sockets.add(message.key, handle);
  else if (message.kind === "start") void start(message);
  else if (message.kind === "events") onEvents(message.delivery);
  else if (message.kind === "held") serving?.worker.hold(message.masterId, message.untilMs);
  else if (message.kind === "lost") serving?.worker.identity.lose(message.why);
  else if (message.kind === "call") void answer(message);
  else void end(message.how, message.overMs);
});
process.on("disconnect", () => void end("drain")); // the master has gone, and with it whoever would replace or stop us
for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]) process.on(signal, () => {}); // a terminal's are the master's to hear
process.on("SIGTERM", () => void end("quick"));
process.on("SIGQUIT", () => void end("drain"));
process.on("exit", () => serving?.log.flush());
process.on("uncaughtException", (cause, origin) => {
  if (!isFault(cause, origin, serving?.log)) return;
  process.exitCode = 1;
  if (isEnding) return;
  tell({ kind: "crashed" });
  void end("drain");
});

async function start({ source, ids, stateDir }: StartMessage): Promise<void> {
  try {
    const { config, loaded } = await loadSource(source);
    const log = createLog(config.log, loaded);
    const dicts = attachDicts(source.dicts);
    const { generation } = source;
    const worker = await Worker.start(config, {
      baseDir: loaded.baseDir,
      log,
      ids,
      stateDir,
      sockets,
      generation,
      dicts,
      events,
    });
    serving = { worker, calls: new LocalWorker(worker, log), log };
    tell({ kind: "ready" });
  } catch (cause) {
    tell({ kind: "failed", reason: failureOf(cause) });
    process.exitCode = 1;
    process.disconnect();
  }
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

async function end(how: "quick" | "drain", overMs?: number): Promise<void> {
  const limitMs = how === "quick" ? QUICK_STOP_MS : process.connected ? undefined : LAST_DRAIN_MS;
  if (limitMs !== undefined) setTimeout(() => process.exit(), limitMs).unref();
  isEnding = true;
  sockets.clear();
  try {
    const closing = serving?.worker.close(how, overMs); // from here on it accepts no more
    tell({ kind: "closing" });
    await closing;
  } catch (cause) {
    process.exitCode = 1;
    serving?.log.error("stop failed", { err: cause });
  }
  process.exit();
}

function tell(message: ToMaster, done = (): void => {}): void {
  if (process.connected && process.send) process.send(message, undefined, {}, done);
  else done();
}
