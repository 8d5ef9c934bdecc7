import type { EventEmitter } from "node:events";
import { GatewayError, messageOf } from "../../errors.ts";
import { readOnlyRetryMs } from "./backoff.ts";
import { Ignored, READ, READ_LIMITS, Values } from "./bounded-values.ts";
import { type Client, type Clients, connectClients } from "./clients.ts";
import { type RedisConfig, type RedisSettings, redisSettings } from "./redis-config.ts";
import { Listeners, type RedisLink, type RedisScript } from "./redis-link.ts";

/** Keys that one step of a scan looks at, and values that are asked for at once: some milliseconds of Redis' time. */
const BATCH = 1_000;

/** Written to see whether Redis takes writes again; gone at once. */
const PROBE = "~probe";

/** Any answer takes less where all is well; and less than a goodbye may take, so that after one that failed no other is tried. */
const SILENCE_MS = 800;

/** Where the connection's ups and downs are told. */
export interface RedisLog {
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** How Redis is opened. */
export interface OpenRedisOptions {
  readonly log: RedisLog;
  /** Paths in the configuration are relative to it. Default: the working directory. */
  readonly baseDir?: string;
  /** Somebody has waited for this Redis in vain just now: no use to wait again. */
  readonly isAway?: boolean | undefined;
}

/**
 * Opens a connection to Redis: one server, behind Sentinel, or a Cluster. Resolves when Redis is there, or has failed to be
 * once: then the connection is `isReady` later. @throws TypeError for a configuration that cannot be meant
 */
export async function openRedis(
  config: RedisConfig,
  { log, baseDir = process.cwd(), isAway = false }: OpenRedisOptions,
): Promise<RedisLink> {
  const settings = redisSettings(config, baseDir);
  const link = await IoredisLink.connect(settings, log);
  if (!isAway) await link.firstWord;
  return link;
}

class IoredisLink implements RedisLink {
  /** Resolves when it is known whether Redis is there. */
  readonly firstWord: Promise<void>;
  readonly isSharded: boolean;
  readonly #settings: RedisSettings;
  readonly #log: RedisLog;
  readonly #client: Client;
  readonly #subscriber: Client;
  readonly #ignored: Ignored;
  readonly #states = new Listeners<boolean>();
  readonly #messages = new Map<string, Listeners<string>>();
  /** Commands may be sent. */
  #isReady = false;
  /** What listeners were told last. */
  #isTold = false;
  /** Connections that were given up because Redis took no writes, since it did. */
  #readOnly = 0;
  #reconnect: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Commands without an answer so far, and since when there has been none. */
  #waiting = 0;
  #silentSince: number | undefined;
  #complaint: string | undefined;
  #tellFirstWord: () => void = () => {};

  private constructor(clients: Clients, settings: RedisSettings, log: RedisLog) {
    this.#settings = settings;
    this.#log = log;
    this.#client = clients.client;
    this.#subscriber = clients.subscriber;
    this.#ignored = new Ignored((event, fields) => log.warn(event, fields));
    this.isSharded = settings.place.kind === "cluster";
    this.firstWord = new Promise((resolve) => {
      this.#tellFirstWord = resolve;
      setTimeout(resolve, settings.connectTimeoutMs).unref();
    });
    this.#listen();
  }

  static async connect(settings: RedisSettings, log: RedisLog): Promise<IoredisLink> {
    return new IoredisLink(await connectClients(settings), settings, log);
  }

  get prefix(): string {
    return this.#settings.prefix;
  }

  get commandTimeoutMs(): number {
    return this.#settings.commandTimeoutMs;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get isAnswering(): boolean {
    return this.#isReady && performance.now() - (this.#silentSince ?? Number.POSITIVE_INFINITY) < SILENCE_MS;
  }

  async send(command: string, key: string, ...rest: readonly (string | number)[]): Promise<unknown> {
    return await this.#ask(() => this.#client.call(command, this.#named(key), ...rest));
  }

  async run(script: RedisScript, keys: readonly string[], values: readonly (string | number)[] = []): Promise<unknown> {
    const words = [keys.length, ...keys.map((key) => this.#named(key)), ...values];
    return await this.#ask(async () => {
      try {
        return await this.#client.call("evalsha", script.sha1, ...words);
      } catch (cause) {
        if (!messageOf(cause).startsWith("NOSCRIPT")) throw cause;
        return await this.#client.call("eval", script.lua, ...words);
      }
    });
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const values = new Values(this.#ignored);
    for (let from = 0; from < keys.length; ) {
      const batch = keys.slice(from, from + BATCH);
      for (const answer of await this.#read(batch)) values.add(keys[from++] ?? "", answer);
    }
    return values.found;
  }

  async scan(prefix: string): Promise<readonly string[]> {
    const named = this.#named(prefix);
    const match = `${named.replace(/[\\*?[\]]/g, "\\$&")}*`;
    const keys = new Set<string>();
    const nodes = "nodes" in this.#client ? this.#client.nodes("master") : [this.#client];
    if (nodes.length === 0) throw new GatewayError("RC_REGISTRY", "no node of the Cluster is known");
    for (const node of nodes) {
      for (let cursor = ""; cursor !== "0"; ) {
        const [next, page] = await this.#ask(() => node.scan(cursor || "0", "MATCH", match, "COUNT", BATCH));
        cursor = next;
        for (const key of page) if (key.startsWith(named)) keys.add(key.slice(this.#settings.prefix.length));
      }
    }
    return [...keys];
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#ask(() => this.#client.publish(this.#named(channel), message));
  }

  subscribe(channel: string, onMessage: (message: string) => void): () => void {
    const name = this.#named(channel);
    const listeners = this.#messages.get(name) ?? new Listeners<string>();
    if (!this.#messages.has(name)) {
      this.#messages.set(name, listeners);
      if (this.#subscriber.status === "ready") this.#resubscribe();
    }
    return listeners.add(onMessage);
  }

  onState(listener: (isReady: boolean) => void): () => void {
    return this.#states.add(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#reconnect);
    this.#away();
    this.#client.disconnect();
    this.#subscriber.disconnect();
  }

  /** Of some keys, from the first on. A script in a Cluster may use one only. */
  async #read(keys: readonly string[]): Promise<readonly unknown[]> {
    if (this.isSharded) return (await Promise.all(keys.map((key) => this.run(READ, [key], READ_LIMITS)))).flat();
    const answer = await this.run(READ, keys, READ_LIMITS);
    if (!Array.isArray(answer) || answer.length === 0) throw new GatewayError("RC_REGISTRY", "expected values");
    return answer;
  }

  #named(key: string): string {
    return this.#settings.prefix + key;
  }

  #listen(): void {
    const client: EventEmitter = this.#client;
    client.on("ready", () => this.#connected());
    client.on("close", () => this.#close());
    client.on("end", () => this.#close());
    client.on("error", (cause: unknown) => this.#complain("redis is away", cause));
    const subscriber: EventEmitter = this.#subscriber;
    if (this.#subscriber !== this.#client) subscriber.on("error", () => {}); // the other connection says it
    subscriber.on("ready", () => this.#resubscribe());
    subscriber.on("message", (channel: string, message: string) => this.#messages.get(channel)?.tell(message));
  }

  #close(): void {
    if (this.#isReady) this.#complain("redis is away", new Error("connection closed"));
    this.#away();
  }

  #away(): void {
    this.#isReady = false;
    this.#tell(false);
  }

  /** A Redis that took no writes is back when it does, not when it is connected to. */
  #connected(): void {
    this.#isReady = true;
    this.#silentSince = undefined;
    this.#tellFirstWord();
    if (this.#readOnly === 0) this.#back();
    else void this.#probe();
  }

  #back(): void {
    if (this.#complaint !== undefined) this.#log.info("redis is back");
    this.#complaint = undefined;
    this.#tell(true);
  }

  #tell(isReady: boolean): void {
    if (isReady === this.#isTold) return;
    this.#isTold = isReady;
    this.#states.tell(isReady);
  }

  async #probe(): Promise<void> {
    try {
      await this.send("SET", PROBE, "", "PX", 1);
      this.#readOnly = 0;
      this.#back();
    } catch {} // it has been said, and the next connection tries again
  }

  /** The master has become a replica: the next connection may lead to the new one. Until then it can be read. */
  #becomeReadOnly(cause: unknown): void {
    if (this.#isClosed) return;
    this.#complain("redis takes no writes", cause);
    this.#reconnect ??= setTimeout(
      () => {
        this.#reconnect = undefined;
        this.#away(); // nothing can be sent any more, and the connection's end comes later
        this.#client.disconnect(true);
      },
      readOnlyRetryMs(++this.#readOnly),
    ).unref();
  }

  /** Once per outage: each attempt to connect fails the same way. */
  #complain(what: string, cause: unknown): void {
    this.#tellFirstWord();
    if (this.#complaint !== undefined) return;
    this.#complaint = messageOf(cause);
    this.#log.warn(what, { reason: this.#complaint });
  }

  /** Channels are few, and a second subscription is none. */
  #resubscribe(): void {
    const channels = [...this.#messages.keys()];
    if (channels.length > 0) this.#subscriber.subscribe(...channels).catch(() => {}); // the next "ready" tries again
  }

  async #ask<T>(command: () => Promise<T>): Promise<T> {
    if (!this.#isReady) throw new GatewayError("RC_REGISTRY", this.#complaint ?? "not connected");
    const { commandTimeoutMs } = this.#settings;
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    if (this.#waiting++ === 0) this.#silentSince ??= performance.now();
    try {
      const late = new Promise<never>((_, reject) => {
        const tooLate = (): void => {
          isLate = true;
          reject(new Error(`no answer within ${commandTimeoutMs} ms`));
        };
        timer = setTimeout(tooLate, commandTimeoutMs);
      });
      return await Promise.race([command(), late]);
    } catch (cause) {
      if (messageOf(cause).includes("READONLY ")) this.#becomeReadOnly(cause); // a script's says where, too
      throw GatewayError.from(cause, "RC_REGISTRY");
    } finally {
      clearTimeout(timer);
      this.#waiting--;
      if (!isLate) this.#silentSince = this.#waiting > 0 ? performance.now() : undefined;
    }
  }
}
