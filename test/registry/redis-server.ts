import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openPerTest } from "../support/open-per-test.ts";
import { run } from "../support/programs.ts";
import { freePorts } from "../support/service.ts";

/** A real Redis on a port of its own, which tests kill, pause and start again. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "restyconf-redis-"));
  readonly #words: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, words: readonly string[] | undefined, args: readonly string[]) {
    this.port = port;
    this.#words = words ?? ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", this.#folder, ...args];
  }

  static async start(args: readonly string[] = []): Promise<RedisServer> {
    const [port = 0] = await freePorts(1);
    const server = await RedisServer.at(port, args);
    await server.settle();
    return server;
  }

  static async at(port: number, args: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(port, undefined, args);
    await server.start();
    return server;
  }

  static async sentinel(port: number, path: string): Promise<RedisServer> {
    const server = new RedisServer(port, [path, "--sentinel"], []);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it where it was: same port, no data. */
  async start(): Promise<void> {
    this.#process = spawn("redis-server", [...this.#words], { stdio: "ignore" });
    try {
      await eventually(async () => expect(await this.cli("PING")).toMatch(/PONG|NOAUTH/));
    } catch (cause) {
      await this.kill(); // nobody else has it yet
      throw cause;
    }
  }

  /** As if gateways had used it all the time: none waits whether others come back to it. */
  async settle(): Promise<void> {
    const [, run = ""] = /run_id:(\w+)/.exec(await this.cli("INFO", "server")) ?? [];
    await this.cli("SET", "restyconf:~ids:{0}", `${run}.known`);
  }

  /** What redis-cli prints. */
  async cli(...words: readonly string[]): Promise<string> {
    return (await run("redis-cli", ["-p", String(this.port), ...words])).stdout.trimEnd();
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Three masters that share the slots. */
export async function redisCluster(): Promise<readonly RedisServer[]> {
  const ports = await freePorts(6);
  const nodes = await Promise.all(
    [0, 2, 4].map((place) => {
      const settings = { "cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-port": ports[place + 1] };
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
      return RedisServer.at(ports[place] ?? 0, args);
    }),
  );
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const made = await run("redis-cli", ["--cluster", "create", ...addresses, "--cluster-yes"], { timeoutMs: 30_000 });
  expect(made.code, made.stdout).toBe(0);
  for (const node of nodes) {
    await eventually(async () => expect(await node.cli("CLUSTER", "INFO")).toContain("cluster_state:ok"));
  }
  return nodes;
}

/** A master, its replica, and three sentinels that know them by the name `main`. */
export interface SentinelSet extends AsyncDisposable {
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
}

export async function redisSentinels(): Promise<SentinelSet> {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-sentinel-"));
  const master = await RedisServer.start();
  const replica = await RedisServer.start([
    "--replicaof",
    `127.0.0.1 ${master.port}`,
    "--repl-diskless-sync-delay",
    "0",
  ]);
  await eventually(async () => expect(await replica.cli("INFO", "replication")).toContain("master_link_status:up"));
  const rules = [
    `sentinel monitor main 127.0.0.1 ${master.port} 2`,
    "sentinel down-after-milliseconds main 500",
    "sentinel failover-timeout main 2000",
    "",
  ].join("\n");
  const sentinels: RedisServer[] = [];
  for (const port of await freePorts(3)) {
    const path = join(folder, `${port}.conf`);
    writeFileSync(path, `port ${port}\n${rules}`);
    sentinels.push(await RedisServer.sentinel(port, path));
  }
  for (const sentinel of sentinels) {
    await eventually(async () => {
      const facts = await sentinel.cli("SENTINEL", "MASTER", "main");
      expect(facts).toMatch(/num-slaves\n1\n/);
      expect(facts).toMatch(/num-other-sentinels\n2\n/);
    }, 20_000);
  }
  return {
    servers: [master, replica],
    sentinels,
    async [Symbol.asyncDispose]() {
      for (const server of [...sentinels, master, replica]) await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A Redis of its own for each test of a file. */
export interface RedisPerTest {
  readonly redis: RedisServer;
  /** Closed behind the test, the last one first, and then Redis. */
  readonly open: AsyncDisposable[];
}

/** Starts one before each test from here on, and ends it behind it. */
export function redisPerTest(): RedisPerTest {
  let redis: RedisServer | undefined;
  const open = openPerTest();
  beforeEach(async () => {
    redis = await RedisServer.start();
    open.push(redis);
  });
  return {
    get redis() {
      if (!redis) throw new Error("no test runs yet");
      return redis;
    },
    open,
  };
}
