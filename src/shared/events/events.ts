import { AsyncResource } from "node:async_hooks";
import { messageOf } from "../../errors.ts";
import {
  type EventDelivery,
  type EventMessage,
  type EventTarget,
  type EventTransport,
  MAX_EVENT_LENGTH,
} from "./message.ts";
import { UnderWay } from "./under-way.ts";

/** What `publish` answers. It does not wait for anybody: `ok` says that the event is on its way. */
export type Published =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "queue full" | "payload too large" };

/** What a handler is told besides the data. */
export interface EventFacts {
  readonly topic: string;
  /** Number of the worker that has published it. */
  readonly from: number;
  /** Name of the gateway where that worker is; undefined: this one. */
  readonly gateway: string | undefined;
}

/** What subscribers run. What it throws is reported, and keeps no other handler from its event; nobody waits for its promise. */
export type EventHandler = (data: unknown, event: EventFacts) => unknown;

/** What this worker has seen of events since it started. */
export interface EventCounts {
  readonly published: number;
  /** Events that were answered with an error. */
  readonly refused: number;
  readonly delivered: number;
  /** Events for this worker that never came. */
  readonly lost: number;
  /** Handlers, and listeners to losses, that threw or rejected. */
  readonly failed: number;
}

/** Messages between workers, and between gateways. Any phase. OpenResty: `resty.events`, `resty.worker.events`. */
export interface Events {
  /**
   * Tells workers of something. `data` is what JSON can say, at most 64 KiB of it. With `unique`, one worker handles the event, and
   * further ones with the same topic and `unique` are ignored for 5 s.
   * @throws TypeError for a wrong target or topic, and for data that is no JSON
   */
  publish(
    target: EventTarget,
    topic: string,
    data?: unknown,
    options?: { readonly unique?: string | undefined },
  ): Published;
  /** Calls `handler(data, { topic, from, gateway })` for each event of a topic, `"*"`: of all, until the signal aborts or what is returned is called. */
  subscribe(topic: string, handler: EventHandler, options?: { readonly signal?: AbortSignal | undefined }): () => void;
  /** Calls `listener(count)` when events for this worker were lost, until what is returned is called. What it throws is reported. */
  onLost(listener: (lost: number) => void): () => void;
  counts(): EventCounts;
}

/** How a worker's events are made. */
export interface EventsOptions {
  readonly transport: EventTransport;
  /** Number of this worker. */
  readonly number: number;
  /** Told of handlers that fail, and, as `lost`, of listeners to losses that do; absent, they become warnings of the process. */
  readonly onTrouble?: ((topic: string, cause: unknown) => void) | undefined;
}

const OK: Published = Object.freeze({ ok: true });
const EVERY_TOPIC = "*";

/** Topics that begin so are the gateway's own: who wants every topic does not want these. */
const INTERNAL = "~";

/** What the trouble of who listens to losses is told as. */
const LOSS = "lost";

/** The events of one worker. */
export class WorkerEvents implements Events {
  readonly #number: number;
  readonly #onTrouble: (topic: string, cause: unknown) => void;
  readonly #underWay: UnderWay<EventMessage>;
  readonly #handlers = new Map<string, Set<{ readonly call: EventHandler }>>();
  readonly #lossListeners = new Set<{ readonly call: (lost: number) => void }>();
  readonly #counts = { published: 0, refused: 0, delivered: 0, lost: 0, failed: 0 };

  constructor({ transport, number, onTrouble = warn }: EventsOptions) {
    this.#number = number;
    this.#onTrouble = onTrouble;
    this.#underWay = new UnderWay((messages, done) => transport.send(messages, done));
    transport.onMessage((delivery) => this.#receive(delivery));
  }

  publish(
    target: EventTarget,
    topic: string,
    data?: unknown,
    { unique }: { readonly unique?: string | undefined } = {},
  ): Published {
    checkTopic(topic);
    const to = checkedTarget(target, unique);
    const text = encoded(data);
    if (topic.length + text.length > MAX_EVENT_LENGTH) return this.#refused("payload too large");
    if (to === "current") {
      queueMicrotask(() => this.#deliver(text, { topic, from: this.#number, gateway: undefined }));
    } else if (!this.#underWay.add({ to, topic, data: text, ...(unique !== undefined && { unique }) })) {
      return this.#refused("queue full");
    }
    this.#counts.published++;
    return OK;
  }

  subscribe(
    topic: string,
    handler: EventHandler,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): () => void {
    checkTopic(topic);
    if (typeof handler !== "function") throw new TypeError("callback is required");
    const handlers = this.#handlers.get(topic) ?? new Set();
    const call = AsyncResource.bind(handler); // it runs as what has subscribed, not as whoever publishes
    const leave = added(handlers, { call }, { signal, onEmpty: () => this.#handlers.delete(topic) });
    if (handlers.size > 0) this.#handlers.set(topic, handlers);
    return leave;
  }

  onLost(listener: (lost: number) => void): () => void {
    return added(this.#lossListeners, { call: listener });
  }

  counts(): EventCounts {
    return { ...this.#counts };
  }

  #receive({ events, lost }: EventDelivery): void {
    const more = lost - this.#counts.lost;
    this.#counts.lost = lost;
    if (more > 0) for (const { call } of [...this.#lossListeners]) void this.#run(LOSS, () => call(more));
    for (const { data, topic, from, gateway } of events) this.#deliver(data, { topic, from, gateway });
  }

  #deliver(text: string, event: EventFacts): void {
    this.#counts.delivered++;
    const all = event.topic.startsWith(INTERNAL) ? undefined : this.#handlers.get(EVERY_TOPIC);
    const handlers = [...(this.#handlers.get(event.topic) ?? []), ...(all ?? [])];
    if (handlers.length === 0) return;
    const data: unknown = text === "" ? undefined : JSON.parse(text);
    for (const { call } of handlers) void this.#run(event.topic, () => call(data, event));
  }

  /** Whoever throws here keeps nothing from anybody: neither others' calls nor the events behind. */
  async #run(topic: string, call: () => unknown): Promise<void> {
    try {
      await call();
    } catch (cause) {
      this.#counts.failed++;
      this.#onTrouble(topic, cause);
    }
  }

  #refused(err: "queue full" | "payload too large"): Published {
    this.#counts.refused++;
    return { err };
  }
}

function added<Item>(
  items: Set<Item>,
  item: Item,
  { signal, onEmpty }: { readonly signal?: AbortSignal | undefined; readonly onEmpty?: () => void } = {},
): () => void {
  const remove = (): void => {
    signal?.removeEventListener("abort", remove);
    if (items.delete(item) && items.size === 0) onEmpty?.();
  };
  if (signal?.aborted) return remove;
  items.add(item);
  signal?.addEventListener("abort", remove, { once: true });
  return remove;
}

function warn(topic: string, cause: unknown): void {
  process.emitWarning(`event ${topic}: ${messageOf(cause)}`);
}

/** No data is no text. */
function encoded(data: unknown): string {
  if (data === undefined) return "";
  const text: string | undefined = JSON.stringify(data);
  if (text === undefined) throw new TypeError(`an event's data is what JSON can say, got ${typeof data}`);
  return text;
}

function checkTopic(topic: unknown): void {
  if (typeof topic !== "string" || topic === "") throw new TypeError("event is required");
}

function isAddress({ gateway, worker }: { readonly gateway: unknown; readonly worker: unknown }): boolean {
  return (gateway === undefined || typeof gateway === "string") && Number.isInteger(worker);
}

function checkedTarget(target: EventTarget, unique: string | undefined): EventTarget {
  const isFar = target === "cluster" || (typeof target === "object" && target !== null && "gateway" in target);
  if (unique !== undefined && isFar) throw new TypeError("an event cannot be unique in a cluster");
  if (typeof target === "object" && target !== null) {
    if ("gateway" in target && isAddress(target)) return { gateway: target.gateway, worker: target.worker };
    if (!("gateway" in target) && "worker" in target && Number.isInteger(target.worker))
      return { worker: target.worker };
    if ("hash" in target && typeof target.hash === "string") return { hash: target.hash };
  } else if (["all", "others", "one", "current", "cluster"].includes(target)) return target;
  throw new TypeError(`unknown target of an event: ${JSON.stringify(target)}`);
}
