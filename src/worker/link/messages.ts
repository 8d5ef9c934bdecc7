import { isPending } from "../../stream/hooks.ts";
import type { Log } from "../../stream/log.ts";
import type { GameServer } from "./game-server.ts";
import type { LinkLimits } from "./limits.ts";

/** Called with each message of a game server. The next one of the same server waits for the promise. */
export type MessageHandler = (data: unknown, from: GameServer) => unknown;

/** What became of a message: with the hooks or on its way there, or dropped. */
export type Taking = "taken" | "too many messages wait" | "nobody listens";

interface Waiting {
  readonly data: unknown;
  readonly from: GameServer;
  readonly sizeBytes: number;
}

/** Messages of one link that wait for hooks. */
interface Queue {
  readonly waiting: Waiting[];
  bytes: number;
}

/**
 * Messages of game servers on their way to hooks: in order for each link, the next one when the last was dealt with, and only
 * so many at a time. A hook that waits does not hold up what else comes over the link, nor other links.
 */
export class Messages {
  readonly #limits: Pick<LinkLimits, "inboxBytes" | "inboxMessages">;
  readonly #log: Pick<Log, "error">;
  readonly #handlers = new Set<MessageHandler>();
  /** Links whose last message hooks still deal with. */
  readonly #busy = new Map<object, Queue>();

  constructor(limits: Pick<LinkLimits, "inboxBytes" | "inboxMessages">, log: Pick<Log, "error">) {
    this.#limits = limits;
    this.#log = log;
  }

  /** Hears all messages from now on, until what it returns is called, or the signal aborts. */
  listen(handler: MessageHandler, signal?: AbortSignal): () => void {
    const own: MessageHandler = (data, from) => handler(data, from); // the same function twice is two listeners
    const stop = (): void => {
      this.#handlers.delete(own);
      signal?.removeEventListener("abort", stop);
    };
    if (signal?.aborted) return stop;
    this.#handlers.add(own);
    signal?.addEventListener("abort", stop, { once: true });
    return stop;
  }

  /** `link`: whose messages are in order with this one. */
  take(link: object, message: Waiting): Taking {
    if (this.#handlers.size === 0) return "nobody listens";
    const queue = this.#busy.get(link);
    if (queue) return this.#enqueue(queue, message);
    const pending = this.#deliver(message);
    if (pending !== undefined) void this.#goOn(link, pending);
    return "taken";
  }

  #enqueue(queue: Queue, message: Waiting): Taking {
    const { inboxBytes, inboxMessages } = this.#limits;
    const isFull = queue.waiting.length >= inboxMessages || queue.bytes + message.sizeBytes > inboxBytes;
    if (isFull) return "too many messages wait";
    queue.waiting.push(message);
    queue.bytes += message.sizeBytes;
    return "taken";
  }

  async #goOn(link: object, pending: Promise<unknown>): Promise<void> {
    const queue: Queue = { waiting: [], bytes: 0 };
    this.#busy.set(link, queue);
    await pending;
    for (let next = queue.waiting.shift(); next; next = queue.waiting.shift()) {
      queue.bytes -= next.sizeBytes;
      await this.#deliver(next);
    }
    this.#busy.delete(link);
  }

  /** Never rejects: what a hook throws ends nothing. */
  #deliver({ data, from }: Waiting): Promise<unknown> | undefined {
    const pending: Promise<unknown>[] = [];
    const fail = (cause: unknown): void => this.#log.error("link message hook failed", { link: from.link, err: cause });
    for (const handler of this.#handlers) {
      try {
        const returned = handler(data, from);
        if (isPending(returned)) pending.push(Promise.resolve(returned).catch(fail));
      } catch (cause) {
        fail(cause);
      }
    }
    return pending.length > 0 ? Promise.all(pending) : undefined;
  }
}
