import type { Address, Endpoint } from "../codecs/address.ts";
import type { GatewayConfig } from "../gateway.ts";
import { memoryRegistry } from "../registry/memory.ts";
import type { Registry } from "../registry/registry.ts";
import { openDicts } from "../shared/dict/open-dicts.ts";
import { WorkerEvents } from "../shared/events/events.ts";
import { localTransport } from "../shared/events/local-transport.ts";
import { EventRelay } from "../shared/events/relay.ts";
import { Snowflake } from "../shared/snowflake.ts";
import { timer, timers } from "../shared/timer.ts";
import { sharedTools } from "../shared/tools.ts";
import { Connection } from "../stream/connection.ts";
import type { HookWatch } from "../stream/hook-watch.ts";
import { NodeIncoming } from "../stream/incoming.ts";
import { serve } from "../stream/serve.ts";
import type { Server } from "../stream/server.ts";
import type { GameLinks, SessionsEverywhere } from "../stream/worker-context.ts";
import { LivePeers } from "../upstream/live-peers.ts";
import { WorkerBans } from "../worker/bans/worker-bans.ts";
import { compileGeneration, type Generation } from "../worker/generation.ts";
import { logTimers } from "../worker/timer-log.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { memoryPair } from "./memory-socket.ts";
import { RunError } from "./run-error.ts";
import { RunLog } from "./run-log.ts";
import type { RunOptions } from "./run-options.ts";
import { type PartyHost, ScriptedParty } from "./scripted-party.ts";
import { type Happening, Transcript } from "./transcript.ts";

const CLIENT: Address = { host: "127.0.0.1", port: 50_000 };
const ANYWHERE: Endpoint = { kind: "tcp", host: "127.0.0.1", port: 0 };

/** Game servers are no part of a session's story. */
const NO_LINKS: GameLinks = { send: () => ({ err: "no such server" }), broadcast: () => 0, onMessage: () => () => {} };

/** There is one, and it is this one's story. */
const NO_SESSIONS: SessionsEverywhere = {
  kick: async () => ({ err: "no such session" }),
  push: async () => ({ err: "no such session" }),
  broadcast: async () => ({ sessions: 0, refused: 0, silent: 0 }),
};

/** Where one session is played: everything that a process has of it, with a client and peers in memory. */
export class Stage implements PartyHost {
  readonly transcript = new Transcript();
  readonly log = new RunLog();
  readonly network: MemoryNetwork;
  readonly #config: GatewayConfig;
  readonly #baseDir: string;
  readonly #options: RunOptions;
  #session: Connection | undefined;
  #client: ScriptedParty | undefined;
  #failure: { readonly cause: unknown } | undefined;

  constructor(config: GatewayConfig, baseDir: string, options: RunOptions) {
    this.#config = config;
    this.#baseDir = baseDir;
    this.#options = options;
    const { peers = {}, oneByOne = false } = options;
    const upstream = (): string | undefined => this.#session?.upstream;
    const onFailure = (cause: unknown): void => this.fail(cause);
    const note = (happening: Happening): void => this.note(happening);
    const error = (reason: string): RunError => this.error(reason);
    const parts = { peers, oneByOne, upstream, onFailure, note, error };
    this.network = new MemoryNetwork(parts, Object.keys(config.upstreams ?? {}));
  }

  get session(): Connection {
    if (!this.#session) throw this.error("no session has begun");
    return this.#session;
  }

  get client(): ScriptedParty {
    if (!this.#client) throw this.error("no session has begun");
    return this.#client;
  }

  note(happening: Happening): void {
    this.transcript.add(happening);
  }

  error(reason: string): RunError {
    return new RunError(reason, this.transcript.events);
  }

  /** Ends all that waits; the run then rejects with the first cause. */
  fail(cause: unknown): void {
    this.#failure ??= { cause };
    for (const party of this.#parties) party.fail(cause instanceof Error ? cause : new Error(String(cause)));
    this.#session?.stop("killed");
  }

  /** Nothing goes on any more, or not to its end: says who waits for what. */
  giveUp(reason: string): Error {
    const waits = this.#parties.flatMap(({ name, waitsFor }) =>
      waitsFor === undefined ? [] : [`${name} waits for ${waitsFor}`],
    );
    const session =
      this.#session && !this.#session.isOver ? [`the session is in its phase ${this.#session.phase}`] : [];
    const error = this.error([reason, ...waits, ...session].join("; "));
    this.fail(error);
    return error;
  }

  /** Starts a gateway, lets one client come and go, and stops it again. */
  async play(): Promise<void> {
    using _stretch = timers.stretch();
    const forget = logTimers(this.log);
    const registry = memoryRegistry();
    const end = new AbortController();
    let bans: WorkerBans | undefined;
    try {
      const { phases } = this.#config;
      await phases?.init?.();
      await phases?.check?.();
      for (const [key, value] of Object.entries(this.#options.registry ?? {})) await registry.put(key, value);
      bans = await WorkerBans.open({ registry, isOwn: false }, this.log);
      const generation = await this.#compile(registry, bans, end.signal);
      await this.#playIn(generation).finally(() => generation.close());
    } finally {
      end.abort();
      forget();
      await bans?.[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    }
  }

  #compile(registry: Registry, bans: WorkerBans, signal: AbortSignal): Promise<Generation> {
    const { log, network } = this;
    const events = new WorkerEvents({ transport: localTransport(new EventRelay(), 0), number: 0 });
    const { dicts } = openDicts(this.#config.shared ?? {});
    return compileGeneration(this.#config, {
      number: 1,
      baseDir: this.#baseDir,
      log,
      hookWatch: this.#hookWatch(),
      worker: {
        ...{ id: 0, number: 0, masterId: 0, generation: 1 },
        ...sharedTools(dicts, { events, isAlone: true }),
        ...{
          registry,
          bans,
          links: NO_LINKS,
          sessions: NO_SESSIONS,
          events,
          snowflake: new Snowflake({ machineId: 0 }),
          shared: dicts,
          timer,
          isReplaced: false,
          signal,
        },
      },
      bans: bans.table,
      live: new LivePeers(),
      resolver: network.resolver,
    });
  }

  async #playIn(generation: Generation): Promise<void> {
    const { phases } = this.#config;
    try {
      await phases?.initWorker?.(generation.worker);
      await this.#serve(serverOf(generation, this.#options.server));
    } finally {
      await othersRest();
      for (const party of this.#parties) party.leave();
      await othersRest(); // a script that still waits for something learns that it does not come
      await phases?.exitWorker?.(generation.worker);
    }
    if (this.#failure) throw this.#failure.cause;
  }

  /** Resolves when the client has left, its script has ended, and nothing is left of the session. */
  async #serve(server: Server): Promise<void> {
    const { client = [], oneByOne = false, tls, remote: given } = this.#options;
    const { local, remote } = addressesOf(server.listen[0] ?? ANYWHERE);
    const ends = { local: this.#options.local ?? local, remote: { ...remote, ...given } };
    const [near, far] = memoryPair(ends, { local: ends.remote, remote: ends.local, oneByOne });
    const over = new Promise<void>((resolve) => {
      this.#session = new Connection(1, new NodeIncoming(near, ends), server, () => resolve());
    });
    const party = new ScriptedParty({ name: "client", role: "client" }, far, this);
    this.#client = party;
    void serve(this.session);
    const steps = [tls ? () => party.startTls(tls) : [], client].flat();
    await party.play(steps).catch((cause: unknown) => this.fail(cause));
    await over;
  }

  get #parties(): readonly ScriptedParty[] {
    return [...(this.#client ? [this.#client] : []), ...this.network.parties];
  }

  #hookWatch(): HookWatch {
    const ignore = (): void => {};
    let isFiltering = false;
    const enter = (phase: string): void => {
      if (phase !== "bodyFilter" || !isFiltering) this.note({ kind: "phase", phase });
      isFiltering ||= phase === "bodyFilter";
    };
    return { enter, leave: ignore, begin: ignore, end: ignore };
  }
}

/** The fake clock goes on when nothing else does. */
function othersRest(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}

/** @throws TypeError when it is not clear which one is meant */
function serverOf({ servers }: Generation, name: string | undefined): Server {
  const [first, ...others] = servers.filter((server) => name === undefined || server.name === name);
  if (first && others.length === 0) return first;
  const names = servers.map((server) => server.name).join(", ");
  throw new TypeError(name === undefined ? `server: expected one of ${names}` : `server: no ${name} among ${names}`);
}

/** Of a client that has come to this address. */
function addressesOf(listen: Endpoint): { readonly local: Address; readonly remote: Address } {
  if (listen.kind === "tcp") return { local: { host: listen.host, port: listen.port }, remote: CLIENT };
  return { local: { host: `unix:${listen.path}`, port: 0 }, remote: { host: "unix:", port: 0 } };
}
