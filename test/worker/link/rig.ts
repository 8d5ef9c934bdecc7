import type { Socket } from "node:net";
import { expect } from "vitest";
import type { Codec } from "../../../src/codecs/codec.ts";
import { GatewayError } from "../../../src/errors.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import type { Registry } from "../../../src/registry/registry.ts";
import type { Ban, BanOptions } from "../../../src/stream/bans/ban.ts";
import type { Log } from "../../../src/stream/log.ts";
import { FrameBuffer } from "../../../src/worker/link/frame-buffer.ts";
import { LIMITS } from "../../../src/worker/link/limits.ts";
import { linkCodec } from "../../../src/worker/link/link-codec.ts";
import type { LinkSession, LinkSessions, PushRefusal } from "../../../src/worker/link/link-sessions.ts";
import { Links, type LinksOptions } from "../../../src/worker/link/links.ts";
import { eventually } from "../../support/eventually.ts";
import { TestServer } from "../../support/servers.ts";

/** A frame as the other side sees it. */
export type Frame = Readonly<Record<string, unknown>>;

/** Short, so that tests need not wait; long enough for a machine with other work. */
export const QUICK = {
  connectMs: 20_000,
  welcomeMs: 20_000,
  heartbeatMs: 50,
  heartbeatTimeoutMs: 20_000,
  minRetryMs: 20,
  maxRetryMs: 100,
  stableMs: 10_000,
  goodbyeMs: 500,
};

/** One link, as the game server sees it. */
export class ServerSide {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  readonly #codec: Codec<unknown>;

  constructor(socket: Socket, codec: Codec<unknown>, onFrame: (frame: Frame, side: ServerSide) => void) {
    this.socket = socket;
    this.#codec = codec;
    const buffer = new FrameBuffer(codec, 2 * LIMITS.frameBytes);
    socket.on("data", (chunk: Buffer) => {
      buffer.append(chunk);
      for (let next = buffer.next(); next.kind !== "more"; next = buffer.next()) {
        if (next.kind === "malformed") throw new Error(next.reason);
        const frame = next.value as Frame;
        this.frames.push(frame);
        onFrame(frame, this);
      }
    });
    socket.on("end", () => socket.end());
  }

  send(...frames: readonly unknown[]): void {
    this.socket.write(Buffer.concat(frames.map((frame) => this.#codec.encode(frame))));
  }

  ofType(type: string): Frame[] {
    return this.frames.filter((frame) => frame["type"] === type);
  }

  /** Waits for the n-th frame of a type. */
  heard(type: string, count = 1): Promise<Frame> {
    return eventually(() => {
      const frame = this.ofType(type)[count - 1];
      expect(frame, `${type} in ${this.frames.map((each) => each["type"]).join()}`).toBeDefined();
      return frame as Frame;
    });
  }
}

/** What a game server does with frames of its own accord. */
export type Manners = (frame: Frame, side: ServerSide) => void;

/** Says welcome and answers pings, as any should. */
export const polite: Manners = ({ type, id }, side) => {
  if (type === "hello") side.send({ type: "welcome" });
  if (type === "ping") side.send({ type: "pong", id });
};

/** A game server in this process. */
export class GameServerRig implements AsyncDisposable {
  /** All that connected so far, in order. */
  readonly links: readonly ServerSide[];
  readonly #server: TestServer;

  private constructor(server: TestServer, links: readonly ServerSide[]) {
    this.#server = server;
    this.links = links;
  }

  static async open(manners: Manners = polite, codec: Codec<unknown> = linkCodec()): Promise<GameServerRig> {
    const links: ServerSide[] = [];
    const server = await TestServer.open((socket) => void links.push(new ServerSide(socket, codec, manners)));
    return new GameServerRig(server, links);
  }

  get address(): string {
    return this.#server.address;
  }

  get port(): number {
    return this.#server.port;
  }

  /** Waits for the n-th connection to have said hello. */
  async link(count = 1): Promise<ServerSide> {
    const side = await eventually(() => {
      expect(this.links.length).toBeGreaterThanOrEqual(count);
      return this.links[count - 1] as ServerSide;
    });
    await side.heard("hello");
    return side;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/** Sessions that remember what was done to them. */
export class SessionsRig implements LinkSessions {
  readonly all = new Map<string, LinkSession>();
  readonly pushed: [session: string, bytes: string][] = [];
  readonly killed: string[] = [];

  add(id: string, tags: readonly string[] = [], refusal?: PushRefusal): void {
    const number = this.all.size + 1;
    this.all.set(id, {
      id,
      number,
      tags,
      whom: (by) => (by === "address" ? "192.0.2.1" : by === "clientId" ? `clientId=${id}` : undefined),
      row: () => ({ session: id, tags }) as ReturnType<LinkSession["row"]>,
      push: (bytes) => {
        if (refusal === undefined) this.pushed.push([id, Buffer.from(bytes).toString()]);
        return refusal;
      },
    });
  }

  find(id: string): LinkSession | undefined {
    return this.all.get(id);
  }

  list(): Iterable<LinkSession> {
    return this.all.values();
  }

  kill(id: string): boolean {
    this.killed.push(id);
    return this.all.delete(id);
  }
}

/** Bans that are remembered; of `broken` none can be kept. */
export class BansRig {
  readonly added: object[] = [];

  async add(whom: string, options: BanOptions = {}): Promise<Ban> {
    if (whom === "broken") throw new GatewayError("RC_REGISTRY", "it is away");
    this.added.push({ whom, ...options });
    return { whom };
  }

  async remove(whom: string): Promise<boolean> {
    if (whom === "broken") throw new GatewayError("RC_REGISTRY", "it is away");
    const at = this.added.findIndex((ban) => "whom" in ban && ban.whom === whom);
    this.added.splice(at, at === -1 ? 0 : 1);
    return at !== -1;
  }
}

/** Log lines as `level event fields`. */
export class LogRig implements Log {
  readonly lines: { level: string; event: string; fields: Readonly<Record<string, unknown>> }[] = [];
  readonly debug = this.#level("debug");
  readonly info = this.#level("info");
  readonly warn = this.#level("warn");
  readonly error = this.#level("error");
  access(): void {}

  #level(level: string) {
    return (event: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void this.lines.push({ level, event, fields });
  }
}

/** Everything that one worker has. */
export class LinksRig implements AsyncDisposable {
  readonly registry: Registry = memoryRegistry();
  readonly sessions = new SessionsRig();
  readonly bans = new BansRig();
  readonly log = new LogRig();
  readonly links: Links;

  constructor(options: Partial<LinksOptions> = {}) {
    this.links = new Links({
      registry: this.registry,
      announce: () => ({ worker: 10, master: 1, address: "127.0.0.1:5050" }),
      sessions: this.sessions,
      bans: this.bans,
      log: this.log,
      timing: QUICK,
      ...options,
    });
  }

  register(instance: string, value: object, service = "game"): Promise<void> {
    return this.registry.put(`service:${service}:${instance}`, JSON.stringify(value));
  }

  /** Links to this one server are up. */
  async linkedTo(server: GameServerRig, extra: object = {}): Promise<ServerSide> {
    await this.register("one", { address: server.address, ...extra });
    this.links.follow(["game"]);
    return this.open(server);
  }

  /** The last link of the server is welcome here. */
  async open(server: GameServerRig): Promise<ServerSide> {
    await eventually(() => {
      const status = this.links.list().find(({ link }) => link === server.address);
      expect(status?.state.kind).toBe("open");
    });
    return server.links.at(-1) as ServerSide;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.links.stop();
    await this.registry[Symbol.asyncDispose]();
  }
}
