import type {
  AddressedEvent,
  ClusterEvent,
  ClusterTransport,
  EventMessage,
  EventTarget,
  RelayedEvent,
  WorkerLink,
} from "./message.ts";
import { UnderWay } from "./under-way.ts";
import { UniqueKeys } from "./unique-keys.ts";

/** A worker, as the relay knows it. */
export interface RelayMember {
  /** Takes what the worker has sent, in its order. */
  receive(messages: readonly EventMessage[]): void;
  /** The worker's process has ended. */
  leave(): void;
}

/** How a relay is made. */
export interface RelayOptions {
  /** To other gateways. Absent: this is the only one. */
  readonly cluster?: ClusterTransport | undefined;
  /** How long a `unique` event is remembered. Default 5,000. */
  readonly uniqueMs?: number | undefined;
}

/**
 * Hands events from worker to worker: in the master, or in the one process that there is. All events pass through it, which is why
 * all workers see them in the same order. It holds nothing back: a worker gets what is published while it is a member.
 */
export class EventRelay {
  readonly #cluster: ClusterTransport | undefined;
  readonly #unique: UniqueKeys;
  readonly #members = new Set<Member>();
  #turns = 0;

  constructor({ cluster, uniqueMs }: RelayOptions = {}) {
    this.#cluster = cluster;
    this.#unique = new UniqueKeys(uniqueMs);
    cluster?.onMessage(
      (event, gateway) => this.#arrive(event, gateway),
      () => this.#tellLoss(),
    );
  }

  /**
   * A worker's process has started. While it takes the place of an older one with the same number both are members, but what is for
   * one worker goes to the new one.
   */
  join(number: number, link: WorkerLink): RelayMember {
    const member = new Member(number, link);
    this.#members.add(member);
    return {
      receive: (messages) => {
        for (const message of messages) this.#relay(member, message);
      },
      leave: () => void this.#members.delete(member),
    };
  }

  /** For metrics: events that were dropped because a worker did not take them in time, by those that are members now. */
  get lost(): number {
    return [...this.#members].reduce((sum, { lost }) => sum + lost, 0);
  }

  #relay(sender: Member, message: EventMessage): void {
    const { to, topic, data, unique } = message;
    const event = { topic, data, from: sender.number };
    if (unique !== undefined && !this.#unique.add(`${topic}\n${unique}`)) return;
    if (to === "cluster" && this.#cluster) this.#cluster.send(event);
    else if (typeof to === "object" && "gateway" in to) this.#sendTo(to, event);
    else for (const member of this.#receivers(sender, message)) member.add(event);
  }

  #receivers(sender: Member, { to, unique }: EventMessage): readonly Member[] {
    if (typeof to === "object") return this.#chosen(to);
    const isMeant = (member: Member): boolean => to !== "others" || member !== sender;
    if (to !== "one" && unique === undefined) return [...this.#members].filter(isMeant);
    const members = this.#current.filter(isMeant);
    const turn = this.#turns++ % members.length;
    return members.slice(turn, turn + 1);
  }

  /** At this gateway old processes with the number hear of it, too: one of them may have asked. */
  #sendTo({ gateway, worker }: AddressedTarget, event: ClusterEvent): void {
    if (gateway === undefined) this.#arrive({ ...event, to: worker }, undefined);
    else this.#cluster?.sendTo(gateway, { ...event, to: worker });
  }

  #arrive(event: ClusterEvent | AddressedEvent, gateway: string | undefined): void {
    const { topic, data, from } = event;
    for (const member of this.#members)
      if (!("to" in event) || event.to === member.number) member.add({ topic, data, from, gateway });
  }

  #tellLoss(): void {
    for (const member of this.#members) member.skip();
  }

  #chosen(to: { readonly hash: string } | { readonly worker: number }): readonly Member[] {
    if ("worker" in to) return this.#current.filter(({ number }) => number === to.worker);
    return highest(this.#current, ({ number }) => weightOf(`${number} ${to.hash}`));
  }

  /** The newest process of each number. */
  get #current(): readonly Member[] {
    return [...new Map([...this.#members].map((member) => [member.number, member])).values()];
  }
}

type AddressedTarget = Extract<EventTarget, { readonly gateway: unknown }>;

/** A worker that is there, and what is under way to it. */
class Member {
  readonly number: number;
  readonly #link: WorkerLink;
  readonly #underWay: UnderWay<RelayedEvent>;
  lost = 0;
  #toldLost = 0;

  constructor(number: number, link: WorkerLink) {
    this.number = number;
    this.#link = link;
    this.#underWay = new UnderWay((events, done) => this.#send(events, done));
  }

  add(event: RelayedEvent): void {
    if (!this.#underWay.add(event)) this.lost++;
  }

  /** Something was lost before it came here. */
  skip(): void {
    this.lost++;
    this.#tellLoss();
  }

  #send(events: readonly RelayedEvent[], done: () => void): void {
    this.#toldLost = this.lost;
    this.#link.send({ events, lost: this.lost }, () => {
      done();
      this.#tellLoss();
    });
  }

  /** A worker learns of its loss though no event may follow. */
  #tellLoss(): void {
    if (this.#toldLost < this.lost) this.#send([], () => {});
  }
}

/** Rendezvous hashing: who leaves takes along only what was its own. */
function highest<Item>(items: readonly Item[], weigh: (item: Item) => number): readonly Item[] {
  const weighed = items.map((item) => ({ item, weight: weigh(item) }));
  const most = Math.max(...weighed.map(({ weight }) => weight));
  return weighed
    .filter(({ weight }) => weight === most)
    .slice(0, 1)
    .map(({ item }) => item);
}

/** FNV-1a, stirred at the end: texts that differ in one digit weigh as differently as any others. */
function weightOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}
