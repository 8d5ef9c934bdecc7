import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { Registry } from "../../registry/registry.ts";
import { patiently } from "../../upstream/abort.ts";
import { backoffMs } from "./backoff.ts";
import { type GameServer, readGameServer } from "./game-server.ts";

/** What a roster works with. */
export interface RosterOptions {
  readonly registry: Pick<Registry, "list" | "watch">;
  readonly service: string;
  /** Called with the whole list when the registry was read, and whenever it changed. */
  readonly onServers: (servers: readonly GameServer[]) => void;
  readonly warn: (message: string) => void;
}

/** As many as an upstream takes from the registry; more of them are a fault of whoever registers. */
const MAX_INSTANCES = 4_096;

/** A registry that went away is asked again so soon, and later as rarely. */
const RETRY = { minRetryMs: 250, maxRetryMs: 5_000 };

interface Instance {
  readonly value: string;
  /** Undefined: it wants no link, or cannot be read. */
  readonly server: GameServer | undefined;
}

/** The game servers of one service, as the registry names them. While the registry is away those known last stay. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  readonly #instances = new Map<string, Instance>();
  readonly #running: Promise<void>;
  #failures = 0;
  #publishing: NodeJS.Immediate | undefined;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#prefix = `service:${options.service}:`;
    this.#running = this.#run(this.#stop.signal);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearImmediate(this.#publishing);
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController(); // a watch that is not read to its end must not stay
      const abort = (): void => round.abort();
      signal.addEventListener("abort", abort, { once: true });
      try {
        await this.#follow(round.signal);
      } catch (cause) {
        if (!signal.aborted) this.#options.warn(`${this.#prefix}* cannot be read: ${messageOf(cause)}`);
      } finally {
        signal.removeEventListener("abort", abort);
        round.abort();
      }
      this.#failures++;
      await sleep(backoffMs(this.#failures, RETRY), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Watches first and lists then, so that no change falls between the two. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { registry } = this.#options;
    const changes = registry.watch(this.#prefix, signal);
    const listed = await patiently(registry.list(this.#prefix), { signal });
    this.#failures = 0;
    for (const key of this.#instances.keys()) if (!listed.has(key)) this.#instances.delete(key);
    for (const [key, value] of listed) this.#set(key, value);
    this.#publish();
    for await (const { key, value } of changes) {
      if (value === undefined) this.#instances.delete(key);
      else this.#set(key, value);
      this.#publishing ??= setImmediate(() => this.#publish()); // a burst of changes is one new list
    }
  }

  #set(key: string, value: string): void {
    const { service, warn } = this.#options;
    const before = this.#instances.get(key);
    if (before?.value === value) return;
    if (!before && this.#instances.size >= MAX_INSTANCES) {
      warn(`${key} is ignored: more than ${MAX_INSTANCES} instances`);
      return;
    }
    const read = readGameServer({ service, instance: key.slice(this.#prefix.length) }, value);
    if (typeof read === "string") warn(`no link to ${key}: ${read}`);
    this.#instances.set(key, { value, server: typeof read === "string" ? undefined : read });
  }

  /** In the order of keys, so that all workers see the same list. */
  #publish(): void {
    this.#publishing = undefined;
    const keys = [...this.#instances.keys()].sort();
    this.#options.onServers(keys.flatMap((key) => this.#instances.get(key)?.server ?? []));
  }
}
