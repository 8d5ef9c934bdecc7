import type { Endpoint } from "../codecs/address.ts";
import type { GatewayConfig } from "../gateway.ts";
import { memoryRegistry } from "../registry/memory.ts";
import { timers } from "../shared/timer.ts";
import type { Carrier } from "../stream/carrier/carrier.ts";
import { NativePort } from "../stream/carrier/native-port.ts";
import { Connection } from "../stream/connection.ts";
import { Deadline } from "../stream/deadline.ts";
import type { Incoming } from "../stream/incoming.ts";
import { Listener } from "../stream/listener.ts";
import type { Log } from "../stream/log.ts";
import type { Port } from "../stream/port.ts";
import { serve } from "../stream/serve.ts";
import type { Server } from "../stream/server.ts";
import type { WorkerContext } from "../stream/worker-context.ts";
import { LivePeers } from "../upstream/live-peers.ts";
import { Resolver } from "../upstream/resolve.ts";
import { chooseCarrier } from "./choose-carrier.ts";
import { sessionLimit } from "./fd-limit.ts";
import { compileGeneration, type Generation } from "./generation.ts";
import { type LiveSession, liveSession } from "./live-session.ts";
import { logTimers } from "./timer-log.ts";

/** Whoever stops a process waits for it. */
const EXIT_WORKER_MS = 5_000;

/** So long may callbacks of timers take that a stop has called early. */
const TIMERS_END_MS = 5_000;

/** A gateway that serves. */
export interface Running {
  /** Open ports, as the command line prints them. */
  readonly listening: readonly { readonly address: string; readonly server: string }[];
  /**
   * What lives at this moment. A client of the native carrier is known from its first byte on, where routes wait for one; a
   * session that has been ended is not listed, though its socket may still linger.
   */
  sessions(): LiveSession[];
  /** Ends one session at once; its end cause is `killed`. False: no such session lives. */
  kill(session: string): boolean;
  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end. */
  close(how: "quick" | "drain"): Promise<void>;
}

/** Opens all ports of a checked configuration whose `init` has run, or none. @throws BindError, and TypeError for what only shows when it is built. */
export async function startWorker(
  config: GatewayConfig,
  { baseDir, log }: { baseDir: string; log: Log },
): Promise<Running> {
  const registry = memoryRegistry();
  const context = { id: 0, number: 0, masterId: 0, registry };
  const generation = await compileGeneration(config, {
    baseDir,
    log,
    worker: context,
    live: new LivePeers(),
    resolver: new Resolver(),
  });
  const { sessions, openFiles } = sessionLimit(generation.servers.flatMap(({ listen }) => listen).length);
  log.info("session limit", { sessions, open_files: openFiles });
  logTimers(log);
  const worker = new Worker(generation, {
    log,
    maxSessions: sessions,
    carrier: chooseCarrier(process.env["RESTYCONF_CARRIER"], process.env["RESTYCONF_ENGINE"], sessions, log),
  });
  try {
    await config.phases?.initWorker?.(context);
    await worker.open();
  } catch (cause) {
    await worker.close("quick");
    await registry[Symbol.asyncDispose]();
    throw cause;
  }
  return {
    listening: worker.listening,
    sessions: () => worker.sessions(),
    kill: (session) => worker.kill(session),
    close: async (how) => {
      timers.expire();
      await worker.close(how);
      await exitWorker(config, context, log);
      await timers.finish(TIMERS_END_MS);
      await registry[Symbol.asyncDispose]();
    },
  };
}

/** Gives the hook its time; what it does not manage in it, a process that stops does not wait for. */
async function exitWorker({ phases }: GatewayConfig, context: WorkerContext, log: Log): Promise<void> {
  if (!phases?.exitWorker) return;
  try {
    using limit = new Deadline(EXIT_WORKER_MS);
    const ended = Promise.resolve(phases.exitWorker(context));
    await limit.limit(ended, () => new Error(`not finished within ${EXIT_WORKER_MS} ms`));
  } catch (cause) {
    log.error("exitWorker hook failed", { err: cause });
  }
}

interface WorkerParts {
  readonly log: Log;
  readonly maxSessions: number;
  /** Undefined: `node:net` accepts and carries. */
  readonly carrier: Carrier | undefined;
}

/** The process that serves: its ports and its sessions. */
class Worker {
  readonly #generation: Generation;
  readonly #log: Log;
  readonly #ports: { readonly port: Port; readonly server: Server }[] = [];
  readonly #sessions = new Set<Connection>();
  readonly #carrier: Carrier | undefined;
  #stops = false;
  #onEmpty: (() => void) | undefined;
  readonly #perServer = new Map<Server, number>();
  readonly #maxSessions: number;
  #count = 0;

  constructor(generation: Generation, { log, maxSessions, carrier }: WorkerParts) {
    this.#generation = generation;
    this.#log = log;
    this.#maxSessions = maxSessions;
    this.#carrier = carrier;
  }

  get listening(): Running["listening"] {
    return this.#ports.map(({ port, server }) => ({ address: port.address, server: server.name }));
  }

  sessions(): LiveSession[] {
    const live: LiveSession[] = [];
    for (const session of this.#sessions) if (!session.isOver) live.push(liveSession(session));
    return live;
  }

  /** Looks through all: operators kill now and then, and an index would cost every session. */
  kill(id: string): boolean {
    for (const session of this.#sessions) {
      if (session.id !== id || session.isOver) continue;
      session.stop("killed");
      return true;
    }
    return false;
  }

  async open(): Promise<void> {
    for (const server of this.#generation.servers) {
      for (const endpoint of server.listen) {
        this.#ports.push({ server, port: await this.#listen(server, endpoint) });
      }
    }
  }

  async close(how: "quick" | "drain"): Promise<void> {
    for (const { port } of this.#ports) port.close();
    if (how === "quick") this.#stop();
    await this.#empty();
    this.#carrier?.stop();
    await this.#generation.close();
  }

  #stop(): void {
    this.#stops = true;
    this.#carrier?.engine.openSilent(); // so that they, too, have their end in the access log
    for (const session of this.#sessions) session.stop("shutdown");
  }

  #listen(server: Server, endpoint: Endpoint): Promise<Port> {
    const options = {
      noDelay: server.noDelay,
      keepAliveMs: server.keepAliveMs,
      ipv6Only: hasV4Twin(endpoint, server.listen),
      log: this.#log,
      hasRoom: () => this.#hasRoom(server),
      onIncoming: (incoming: Incoming) => this.#serve(incoming, server),
    };
    return this.#carrier ? NativePort.open(this.#carrier, endpoint, server, options) : Listener.open(endpoint, options);
  }

  #hasRoom(server: Server): boolean {
    const { maxConns = Infinity } = server;
    return this.#sessions.size < this.#maxSessions && (this.#perServer.get(server) ?? 0) < maxConns;
  }

  #serve(incoming: Incoming, server: Server): void {
    const session = new Connection(++this.#count, incoming, server, this.#leave);
    this.#perServer.set(server, (this.#perServer.get(server) ?? 0) + 1);
    this.#sessions.add(session);
    void serve(session);
    if (this.#stops) session.stop("shutdown");
  }

  /** A session keeps its place until its socket is closed too: what lingers holds a file descriptor. */
  readonly #leave = (session: Connection): void => {
    const server = session.home;
    this.#sessions.delete(session);
    this.#perServer.set(server, (this.#perServer.get(server) ?? 1) - 1);
    if (this.#isEmpty) this.#onEmpty?.();
  };

  /** The carrier's sessions are known here once they have said something. */
  get #isEmpty(): boolean {
    return this.#sessions.size === 0 && (this.#carrier?.engine.sessions ?? 0) === 0;
  }

  #empty(): Promise<void> {
    if (this.#isEmpty) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }
}

/** Linux lets `[::]` take IPv4 as well, and then refuses `0.0.0.0` on the same port. */
function hasV4Twin(endpoint: Endpoint, all: readonly Endpoint[]): boolean {
  if (endpoint.kind !== "tcp" || endpoint.host !== "::") return false;
  return all.some((other) => other.kind === "tcp" && other.host === "0.0.0.0" && other.port === endpoint.port);
}
