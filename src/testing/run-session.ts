import { setTimeout as sleep } from "node:timers/promises";
import type { GatewayConfig } from "../gateway.ts";
import { Turns } from "../shared/turns.ts";
import { network } from "../upstream/network.ts";
import type { SessionCtx } from "../upstream/session-facts.ts";
import { type Loaded, loadConfig } from "../worker/config/load-config.ts";
import { validate } from "../worker/config/validate.ts";
import { Activity } from "./activity.ts";
import { drive } from "./drive.ts";
import { FakeTime } from "./fake-time.ts";
import type { AccessLine, LogEntry } from "./run-log.ts";
import type { RunOptions } from "./run-options.ts";
import { Stage } from "./stage.ts";
import { type TranscriptEvent, transcriptText } from "./transcript.ts";

/** What has happened in a run. */
export interface Run {
  /** All that the client has received; within TLS, the clear text. */
  readonly toClient: Buffer;
  /** All that a peer has received, by its address, or that all peers of an upstream have, by its name: connection by connection. */
  toPeer(name: string): Buffer;
  /** Addresses of the peers that have accepted a connection, in order. */
  readonly connected: readonly string[];
  /** The session's access line. */
  readonly line: AccessLine;
  /** What the gateway has logged besides. */
  readonly logs: readonly LogEntry[];
  /** The session's `ctx`, as its hooks have left it. */
  readonly ctx: SessionCtx;
  /** Who has sent what when, and which hooks were called. */
  readonly transcript: readonly TranscriptEvent[];
  /** The transcript for people. */
  readonly text: string;
}

/** 2026-01-01, midnight UTC: the same in each run. */
const SOME_DAY = Date.UTC(2026, 0, 1);

/** Longer than any session of a test, shorter than what an interval of a millisecond would make of it. */
const LIMIT_MS = 3_600_000;

/** Less than the 5 s that most test runners allow a test, so that the transcript is still seen. */
const REAL_LIMIT_MS = 4_000;

/** After a run with the real clock was given up, so long for hooks and sockets to end. */
const CLEAN_UP_MS = 500;

/** Only one run at a time may have the clock of the process. */
const runs = new Turns();

/**
 * Runs one session of a configuration through the gateway's own engine, with a client and peers that are scripts, without a socket
 * and without waiting. `config`: the object, or the path of a file as `restyconf start` takes it. Runs come one after the other.
 * @throws RunError when a script waits for what never comes, or gets something else; what a script throws; ConfigError and TypeError
 * for a configuration or options that cannot work; what `init`, `check`, `initWorker` and `exitWorker` throw
 */
export function runSession(config: GatewayConfig | string, options: RunOptions = {}): Promise<Run> {
  return runs.take(() => runNow(config, options));
}

async function runNow(config: GatewayConfig | string, options: RunOptions): Promise<Run> {
  const loaded = await loadedFrom(config, options);
  const checked = validate(loaded);
  if (options.clock === "real") return inRealTime(new Stage(checked, loaded.baseDir, options), options);
  using time = new FakeTime(Number(options.now ?? (usesTls(checked) ? Date.now() : SOME_DAY)));
  const stage = new Stage(checked, loaded.baseDir, options);
  const warn = (): void => stage.log.warn("a hook opened a real socket while the clock is fake");
  using activity = new Activity(() => network.getStore() === stage.network, once(warn));
  const playing = network.run(stage.network, () => stage.play());
  const advance = (untilMs: number): boolean => network.run(stage.network, () => advanced(stage, time, untilMs));
  const giveUp = (reason: string): Error => stage.giveUp(reason);
  await drive(playing, { advance, now: () => time.now, activity, limitMs: options.limitMs ?? LIMIT_MS, giveUp });
  return runOf(stage);
}

/** What a callback of a timer throws, nobody catches: in a gateway it ends the process. */
function advanced(stage: Stage, time: FakeTime, untilMs: number): boolean {
  try {
    return time.advance(untilMs);
  } catch (cause) {
    stage.fail(cause);
    return true;
  }
}

async function inRealTime(stage: Stage, { limitMs = REAL_LIMIT_MS }: RunOptions): Promise<Run> {
  const ended = new AbortController();
  const { signal } = ended;
  const isLate = async (): Promise<void> => {
    await sleep(limitMs, undefined, { signal });
    const error = stage.giveUp(`the run has not ended within ${limitMs} ms`);
    await sleep(CLEAN_UP_MS, undefined, { signal });
    throw error;
  };
  const late = isLate();
  late.catch(() => {}); // nobody waits for it once the run has ended
  await Promise.race([network.run(stage.network, () => stage.play()), late]).finally(() => ended.abort());
  return runOf(stage);
}

async function loadedFrom(config: GatewayConfig | string, { baseDir }: RunOptions): Promise<Loaded> {
  const loaded =
    typeof config === "string" ? await loadConfig(config) : { config, path: "config", baseDir: process.cwd() };
  return baseDir === undefined ? loaded : { ...loaded, baseDir };
}

function usesTls({ servers, upstreams = {} }: GatewayConfig): boolean {
  return [...Object.values(servers), ...Object.values(upstreams)].some(({ ssl }) => ssl !== undefined);
}

function runOf(stage: Stage): Run {
  const { line, entries } = stage.log;
  if (!line) throw stage.error("the session has no access line");
  const { parties } = stage.network;
  const { events } = stage.transcript;
  return {
    toClient: stage.client.received,
    toPeer: (name) => Buffer.concat(parties.filter((party) => party.isCalled(name)).map(({ received }) => received)),
    connected: parties.map(({ name }) => name),
    line,
    logs: entries,
    ctx: stage.session.ctx,
    transcript: events,
    text: transcriptText(events),
  };
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
