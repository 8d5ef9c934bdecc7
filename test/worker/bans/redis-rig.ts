import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "vitest";
import type { Loss } from "../../../src/registry/redis/loss.ts";
import { openRedis } from "../../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../../src/registry/redis/redis.ts";
import { BAN_KEYS } from "../../../src/stream/bans/ban.ts";
import { WorkerBans } from "../../../src/worker/bans/worker-bans.ts";
import { RedisServer } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";
import { LogRig } from "../link/rig.ts";

/** The way to Redis, which can be cut. */
export class Gate implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #isCut = false;
  #port: number;

  constructor(port: number) {
    this.#port = port;
    this.#server = createServer((client) => {
      if (this.#isCut) return void client.destroy();
      const peer = connect(this.#port, "127.0.0.1");
      for (const [socket, other] of [
        [client, peer],
        [peer, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => {}).on("close", () => other.destroy());
        socket.pipe(other);
      }
    });
  }

  async open(): Promise<number> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  /** Now it may lead to another one. */
  mend(port = this.#port): void {
    this.#port = port;
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
  }
}

/** One worker of a gateway, as far as bans go. */
export interface BansGateway extends AsyncDisposable {
  readonly bans: WorkerBans;
  readonly gate: Gate;
  readonly log: LogRig;
  held(): readonly string[];
}

interface BansGatewayOptions {
  readonly stateDir?: string;
  /** It starts without a way to Redis. */
  readonly isCut?: boolean;
  /** What a loss is told as. */
  readonly told?: (loss: Loss) => Loss;
}

/** A Redis, and gateways that share it. */
export class RedisRig implements AsyncDisposable {
  readonly redis: RedisServer;
  /** Closed at the end, the last one first. */
  readonly open: AsyncDisposable[];

  private constructor(redis: RedisServer) {
    this.redis = redis;
    this.open = [redis];
  }

  static async start(): Promise<RedisRig> {
    return new RedisRig(await RedisServer.start());
  }

  async gateway({ stateDir, isCut = false, told = (loss) => loss }: BansGatewayOptions = {}): Promise<BansGateway> {
    const log = new LogRig();
    const gate = new Gate(this.redis.port);
    this.open.push(gate);
    if (isCut) gate.cut();
    const url = `redis://127.0.0.1:${await gate.open()}`;
    const link = await openRedis({ url, connectTimeoutMs: 5_000, commandTimeoutMs: 5_000 }, { log });
    let bans: WorkerBans | undefined;
    const registry = await redisRegistry(link, {
      ...{ log, stateDir },
      onLost: (prefix, loss) => void (prefix === BAN_KEYS && bans?.restore(told(loss))),
    });
    bans = await WorkerBans.open({ registry, isOwn: false }, log);
    const own = bans;
    const close = async (): Promise<void> => {
      for (const each of [own, registry, link]) await each[Symbol.asyncDispose]();
    };
    const opened = { bans, gate, log, held: () => own.list().map(({ whom }) => whom), [Symbol.asyncDispose]: close };
    this.open.push(opened);
    return opened;
  }

  /** Whom the bans there mean. */
  async inRedis(server = this.redis): Promise<readonly string[]> {
    const keys = await server.cli("KEYS", "restyconf:ban:*");
    return keys
      .split("\n")
      .filter(Boolean)
      .map((key) => key.replace("restyconf:ban:", ""))
      .sort();
  }

  async byHand(command: "SET" | "DEL", whom: string, ...value: readonly string[]): Promise<void> {
    await this.redis.cli(command, `restyconf:ban:${whom}`, ...value);
    await this.redis.cli("PUBLISH", "restyconf:changes", `ban:${whom}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.open.reverse()) await each[Symbol.asyncDispose]();
  }
}

/** Until these hold at all gateways, and no others. */
export async function all(gateways: readonly BansGateway[], held: readonly string[], withinMs?: number): Promise<void> {
  for (const { held: now } of gateways) await eventually(() => expect(now()).toEqual(held), withinMs);
}

/** Watches until it is stopped; answers what was ever held and what was ever not. */
export function watch(gateways: readonly BansGateway[], whom: string) {
  const seen = new Set<boolean>();
  const look = setInterval(() => gateways.map(({ held }) => seen.add(held().includes(whom))), 5);
  return {
    end(): readonly boolean[] {
      clearInterval(look);
      return [...seen];
    },
  };
}
