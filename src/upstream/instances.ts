import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { patiently } from "./abort.ts";

/** The two methods of a registry that following a service needs. */
export interface PeerSource {
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** Changes from the moment of the call on. */
  watch(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly key: string; readonly value: string | undefined }>;
}

export interface InstancesOptions<Instance> {
  readonly source: PeerSource;
  readonly service: string;
  /** What a key's value says; undefined: it is of no use. Asked once for each value. */
  readonly read: (key: string, value: string) => Instance | undefined;
  /** Called with the whole list at first, and whenever it changed: in the order of keys, so that all workers see the same. */
  readonly onInstances: (instances: readonly Instance[]) => void;
  /** How long to wait before the registry is asked again after so many failures in a row, from 1. */
  readonly retryMs: (failures: number) => number;
  readonly warn: (message: string) => void;
}

/** More instances than any service has; more of them are a fault of whoever registers. */
const MAX_INSTANCES = 4_096;

interface Known<Instance> {
  readonly value: string;
  readonly instance: Instance | undefined;
}

/** What the keys of one service in the registry are under. */
export function serviceKeys(service: string): string {
  return `service:${service}:`;
}

/** Follows one service in the registry. While the registry is away those known last stay. */
export class Instances<Instance> {
  /** Resolves when the registry has answered for the first time, or has failed to. */
  readonly ready: Promise<void>;
  readonly #options: InstancesOptions<Instance>;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  readonly #known = new Map<string, Known<Instance>>();
  readonly #running: Promise<void>;
  #isReady: () => void = () => {};
  #failures = 0;
  #publishing: NodeJS.Immediate | undefined;

  constructor(options: InstancesOptions<Instance>) {
    this.#options = options;
    this.#prefix = serviceKeys(options.service);
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
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
      this.#isReady();
      this.#failures++;
      await sleep(this.#options.retryMs(this.#failures), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Watches first and lists then, so that no change falls between the two. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { source } = this.#options;
    const changes = source.watch(this.#prefix, signal);
    const listed = await patiently(source.list(this.#prefix), { signal });
    this.#failures = 0;
    for (const key of this.#known.keys()) if (!listed.has(key)) this.#known.delete(key);
    for (const [key, value] of listed) this.#set(key, value);
    this.#publish();
    this.#isReady();
    for await (const { key, value } of changes) {
      if (value === undefined) this.#known.delete(key);
      else this.#set(key, value);
      this.#publishing ??= setImmediate(() => this.#publish()); // a burst of changes is one new list
    }
  }

  /** An unchanged value keeps what was read from it. */
  #set(key: string, value: string): void {
    const before = this.#known.get(key);
    if (before?.value === value) return;
    if (!before && this.#known.size >= MAX_INSTANCES) {
      this.#options.warn(`${key} is ignored: more than ${MAX_INSTANCES} instances`);
      return;
    }
    this.#known.set(key, { value, instance: this.#options.read(key, value) });
  }

  #publish(): void {
    this.#publishing = undefined;
    const keys = [...this.#known.keys()].sort();
    this.#options.onInstances(keys.flatMap((key) => this.#known.get(key)?.instance ?? []));
  }
}
