import { randomUUID } from "node:crypto";
import { messageOf } from "../../errors.ts";
import type { AddressedEvent, ClusterEvent, ClusterTransport } from "./message.ts";
import { Origins } from "./origins.ts";
import { isBefore, readAddressed, readEntries, type SentEvent } from "./stream-entry.ts";
import { UnderWay } from "./under-way.ts";

/** Events that the stream keeps, about: a gateway that was away for less than that misses nothing. */
const KEPT_EVENTS = 2_000;

/** Events that are read at once: at most some megabytes. */
const BATCH = 100;

/** The bell may be lost; then an event comes so much later. */
const LOOK_MS = 2_000;

/** The id before all others. */
const FIRST_ID = "0-0";

/** Answers to other gateways that are on their way to Redis. More are lost: whoever asked is told by its own time limit. */
const MAX_ANSWERS = 1_000;

/** Events that Redis may have taken though we were told otherwise. Of more than that some come twice. */
const MAX_DOUBTFUL = 10_240;

/** What gateways need of Redis; a connection of the registry is one. Whatever fails rejects in time. */
export interface EventStreamClient {
  readonly isReady: boolean;
  send(command: string, key: string, ...rest: readonly (string | number)[]): Promise<unknown>;
  publish(channel: string, message: string): Promise<void>;
  subscribe(channel: string, onMessage: (message: string) => void): () => void;
  onState(listener: (isReady: boolean) => void): () => void;
}

/** How gateways talk to each other. */
export interface RedisEventsOptions {
  /** Key of the stream, and channel of its bell; behind the client's prefix. Default `events`. */
  readonly key?: string | undefined;
  /** What other gateways know this one by. Default: a new UUID; two gateways must never have the same. */
  readonly name?: string | undefined;
  /** Told once of each time in which Redis is there and yet events do not pass. */
  readonly warn?: ((text: string) => void) | undefined;
}

/** An event with its place in the row of those that this gateway has sent. */
interface NumberedEvent extends ClusterEvent {
  readonly serial: number;
}

/** Events between gateways, until it is closed. */
export interface RedisEvents extends ClusterTransport {
  /** For metrics: events that only this gateway's workers got, because Redis was away; and those that never came. */
  readonly counts: { readonly alone: number; readonly lost: number };
  close(): void;
}

/**
 * Events between gateways, through a stream in Redis; a bell on a channel of the same name says that there are new ones. All
 * gateways see them in the order of the stream, each once. A gateway whose connection was broken reads what it has missed, as far
 * as the stream still has it; what was lost is told. An event that Redis does not take is for the workers of its own gateway alone.
 */
export function redisEvents(client: EventStreamClient, options: RedisEventsOptions = {}): RedisEvents {
  return new StreamEvents(client, options);
}

class StreamEvents implements RedisEvents {
  readonly counts = { alone: 0, lost: 0 };
  readonly #client: EventStreamClient;
  readonly #key: string;
  readonly #name: string;
  readonly #origins = new Origins();
  /** This gateway's own events that its workers have got though Redis may have taken them. */
  readonly #doubtful = new Set<number>();
  readonly #underWay = new UnderWay<NumberedEvent>((events, done) => void this.#add(events).then(done));
  readonly #warn: (text: string) => void;
  /** What does not work, and was told. */
  readonly #troubles = new Set<"sent" | "read">();
  #listener: (event: ClusterEvent | AddressedEvent, gateway: string | undefined) => void = () => {};
  #onLost: () => void = () => {};
  #serial = 0;
  #answering = 0;
  /** Undefined: what is in the stream now is not for us. */
  #lastId: string | undefined;
  /** The stream may be another one than before. */
  #isDoubted = true;
  #reading: "no" | "yes" | "again" = "no";
  #leave: readonly (() => void)[] = [];

  constructor(client: EventStreamClient, { key = "events", name = randomUUID(), warn }: RedisEventsOptions) {
    this.#client = client;
    this.#warn = warn ?? (() => {});
    this.#key = key;
    this.#name = name;
  }

  onMessage(
    listener: (event: ClusterEvent | AddressedEvent, gateway: string | undefined) => void,
    onLost: () => void,
  ): void {
    this.#listener = listener;
    this.#onLost = onLost;
    const lookAnew = (): void => {
      this.#isDoubted = true;
      this.#look();
    };
    const timer = setInterval(lookAnew, LOOK_MS).unref();
    this.#leave = [
      this.#client.subscribe(this.#key, () => this.#look()),
      this.#client.subscribe(`${this.#key}:${this.#name}`, (text) => this.#takeAddressed(text)),
      this.#client.onState(lookAnew),
      () => clearInterval(timer),
    ];
    this.#look();
  }

  send(event: ClusterEvent): void {
    const serial = ++this.#serial; // others see the gap where one does not come
    if (!this.#client.isReady) this.#keep(event);
    else if (!this.#underWay.add({ ...event, serial })) {
      this.#failed("sent", "too many are under way");
      this.#keep(event);
    }
  }

  sendTo(gateway: string, event: AddressedEvent): void {
    if (!this.#client.isReady || this.#answering >= MAX_ANSWERS) return;
    const text = JSON.stringify({ ...event, gateway: this.#name });
    const settle = (): void => void this.#answering--;
    this.#answering++;
    this.#client.publish(`${this.#key}:${gateway}`, text).then(settle, settle);
  }

  #takeAddressed(text: string): void {
    const read = readAddressed(text);
    if (read) this.#listener(read.event, read.gateway);
  }

  close(): void {
    for (const leave of this.#leave) leave();
    this.#leave = [];
  }

  /** All of one turn, in their order, and one bell behind them. */
  async #add(events: readonly NumberedEvent[]): Promise<void> {
    await Promise.all(events.map((event) => this.#addOne(event)));
    this.#client.publish(this.#key, "").catch(() => {}); // then they look by themselves
  }

  async #addOne({ serial, ...event }: NumberedEvent): Promise<void> {
    const text = JSON.stringify({ ...event, gateway: this.#name, serial });
    try {
      await this.#client.send("XADD", this.#key, "MAXLEN", "~", KEPT_EVENTS, "*", "event", text);
      this.#troubles.delete("sent");
    } catch (cause) {
      this.#failed("sent", messageOf(cause));
      this.#doubtful.add(serial); // it may stand in the stream though we have not heard of it
      if (this.#doubtful.size > MAX_DOUBTFUL) this.#doubtful.delete(this.#doubtful.values().next().value ?? 0);
      this.#keep(event);
    }
  }

  /** That Redis is away is said by its connection. */
  #failed(what: "sent" | "read", why: string): void {
    if (!this.#client.isReady || this.#troubles.has(what)) return;
    this.#troubles.add(what);
    this.#warn(`events between gateways cannot be ${what}: ${why}`);
  }

  /** Better some than none: bans hold where they were pronounced. */
  #keep(event: ClusterEvent): void {
    this.counts.alone++;
    this.#listener(event, undefined);
  }

  /** One reader at a time, so that the order is kept. */
  #look(): void {
    const isReading = this.#reading !== "no";
    this.#reading = isReading ? "again" : "yes";
    if (isReading) return;
    void this.#readAll().finally(() => {
      const isAsked = this.#reading === "again";
      this.#reading = "no";
      if (isAsked) this.#look();
    });
  }

  /** What fails is read at the next look. */
  async #readAll(): Promise<void> {
    if (!this.#client.isReady || this.#leave.length === 0) return;
    try {
      if (this.#isDoubted) await this.#findPlace();
      while ((await this.#read()) === BATCH);
      this.#troubles.delete("read");
    } catch (cause) {
      this.#failed("read", messageOf(cause));
      this.#isDoubted = true;
    }
  }

  /** Where to read on. A stream that is younger than what we have read is a new one: all of it is. */
  async #findPlace(): Promise<void> {
    const [newest] = readEntries(await this.#client.send("XREVRANGE", this.#key, "+", "-", "COUNT", 1));
    const id = newest?.id ?? FIRST_ID;
    if (this.#lastId === undefined) this.#lastId = id;
    else if (isBefore(id, this.#lastId)) this.#lastId = FIRST_ID;
    this.#isDoubted = false;
  }

  async #read(): Promise<number> {
    const answer = await this.#client.send("XRANGE", this.#key, `(${this.#lastId}`, "+", "COUNT", BATCH);
    const entries = readEntries(answer);
    for (const { id, sent } of entries) {
      this.#lastId = id;
      if (sent) this.#take(sent);
    }
    return entries.length;
  }

  #take({ gateway, serial, topic, data, from }: SentEvent): void {
    const missed = this.#origins.missedBefore(gateway, serial);
    if (missed === undefined) return;
    if (gateway === this.#name) {
      if (!this.#doubtful.delete(serial)) this.#listener({ topic, data, from }, undefined);
      return;
    }
    if (missed > 0) {
      this.counts.lost += missed;
      this.#onLost();
    }
    this.#listener({ topic, data, from }, gateway);
  }
}
