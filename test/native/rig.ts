import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import {
  type Addon,
  type Engine,
  EVENT_FIELDS,
  engineKindOf,
  eventKinds,
  loadAddon,
  type NativeListen,
  type NativeListening,
  type NativeRelay,
} from "../../src/stream/carrier/addon.ts";

/** All stories hold for both kinds of engine. */
const ENGINE = engineKindOf(process.env["RESTYCONF_ENGINE"]);
const EVENTS = 32;
const SHARED_BYTES = 128 * 1024;
const PATIENCE_MS = 30_000;

/** One event, with a copy of its bytes. */
export interface Told {
  readonly kind: number;
  readonly session: number;
  readonly slot: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly e: number;
  /** The four numbers of the client's addresses. */
  readonly ends: readonly number[];
  readonly bytes: Buffer;
}

interface Waiting {
  readonly kind: number;
  readonly settle: (told: Told) => void;
}

/** The binary that the bootstrap has compiled; the tests of this folder cannot do without. */
export function addon(): Addon {
  const loaded = loadAddon();
  if (loaded.addon === undefined) throw new Error(`no carrier: ${loaded.reason}`);
  return loaded.addon;
}

/** An engine, and what it tells, in order and by kind. */
export class Rig implements Disposable {
  readonly engine: Engine;
  readonly events = new Float64Array(EVENTS * EVENT_FIELDS);
  readonly bytes = new Uint8Array(SHARED_BYTES);
  wakes = 0;
  readonly #unclaimed: Told[] = [];
  readonly #waiting: Waiting[] = [];

  constructor({ maxSessions = 1000 } = {}) {
    const { events, bytes } = this;
    this.engine = addon().start({ maxSessions, events, bytes, wake: () => this.#take(), engine: ENGINE });
  }

  listen(options: Partial<NativeListen> = {}): NativeListening {
    return this.engine.listen({ ...USUAL_PORT, ...options });
  }

  /** The next event of this kind that nobody has asked for yet. */
  next(kind: keyof typeof eventKinds): Promise<Told> {
    const number = eventKinds[kind];
    const at = this.#unclaimed.findIndex((told) => told.kind === number);
    const [found] = at === -1 ? [] : this.#unclaimed.splice(at, 1);
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no event: ${kind}`)), PATIENCE_MS);
      const settle = (told: Told): void => {
        clearTimeout(timer);
        resolve(told);
      };
      this.#waiting.push({ kind: number, settle });
    });
  }

  /** Events that came and that nobody has asked for. */
  get unclaimed(): readonly number[] {
    return this.#unclaimed.map(({ kind }) => kind);
  }

  /** Ends a relay's session for good, and says how it ended. */
  async end(): Promise<Told> {
    const ended = await this.next("ended");
    this.engine.release(ended.session);
    return ended;
  }

  [Symbol.dispose](): void {
    this.engine.stop();
  }

  #take(): void {
    this.wakes++;
    for (let count = this.engine.take(); count > 0; count = this.engine.take()) {
      for (let at = 0; at < count; at++) this.#tell(this.#read(at * EVENT_FIELDS));
    }
  }

  #read(at: number): Told {
    const fields = this.events.subarray(at, at + EVENT_FIELDS);
    const [kind = 0, session = 0, slot = 0, a = 0, b = 0, c = 0, d = 0, e = 0, ...ends] = fields;
    const hasBytes = kind === eventKinds.open || kind === eventKinds.head;
    const bytes = Buffer.from(hasBytes ? this.bytes.subarray(c, c + d) : []);
    return { kind, session, slot, a, b, c, d, e, ends, bytes };
  }

  #tell(told: Told): void {
    const at = this.#waiting.findIndex(({ kind }) => kind === told.kind);
    const [waiting] = at === -1 ? [] : this.#waiting.splice(at, 1);
    if (waiting) waiting.settle(told);
    else this.#unclaimed.push(told);
  }
}

/** What tests listen with unless they say otherwise. */
export const USUAL_PORT: NativeListen = {
  host: "127.0.0.1",
  path: undefined,
  listenFd: undefined,
  port: 0,
  backlog: 511,
  ipv6Only: false,
  reusePort: false,
  noDelay: true,
  keepAliveMs: 60_000,
  waits: true,
  firstByteMs: 10_000,
  headBytes: 16_384,
  group: 0,
  maxSessions: 1000,
};

/** Where to, with usual times. */
export function peer(port: number, options: Partial<PeerOptions> = {}): NativeRelay {
  const { host = "127.0.0.1", connectTimeoutMs = 5_000, idleTimeoutMs = 30_000, skip = 0 } = options;
  return [host, options.port ?? port, connectTimeoutMs, idleTimeoutMs, skip, options.localAddress, options.preface];
}

export interface PeerOptions {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly skip: number;
  readonly preface: Uint8Array;
}

/** A client that remembers all it got, and how it ended. */
export class Client implements Disposable {
  readonly socket: Socket;
  /** When the socket is closed: after both ends, or a reset. */
  readonly closed: Promise<"end" | "reset">;
  /** When the other side has ended, in whatever way. */
  readonly over: Promise<"end" | "reset">;
  readonly #chunks: Buffer[] = [];
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#chunks.push(chunk));
    socket.on("end", () => {
      this.#ended = true;
    });
    this.closed = new Promise((resolve) => {
      socket.on("error", () => resolve("reset"));
      socket.on("close", () => resolve("end"));
    });
    this.over = Promise.race([
      this.closed,
      once(socket, "end").then(
        () => "end" as const,
        () => "reset" as const,
      ),
    ]);
  }

  static async open(
    to: number | string,
    options: { readonly host?: string; readonly says?: string } = {},
  ): Promise<Client> {
    const where = typeof to === "number" ? { port: to, host: options.host ?? "127.0.0.1" } : { path: to };
    const client = new Client(connect({ ...where, allowHalfOpen: true, noDelay: true }));
    await once(client.socket, "connect");
    if (options.says !== undefined) client.socket.write(options.says);
    return client;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get count(): number {
    return this.#chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** The other side has ended its direction. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Waits for so many bytes in all. */
  async receive(count: number): Promise<Buffer> {
    while (this.count < count) await once(this.socket, "data");
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** The binary's path, for other processes and threads. */
export const BINARY: string = fileURLToPath(
  new URL(`../../prebuilds/${process.platform}-${process.arch}/carrier.node`, import.meta.url),
);

/** Open file descriptors of this process. */
export const openFiles = (): number => readdirSync("/proc/self/fd").length;
