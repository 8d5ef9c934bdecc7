/**
 * Whom an event is for. `all`: every worker of this gateway, its publisher included. `others`: all but the publisher. `one`: any one
 * of them. `hash`: always the same one for the same text, as long as the workers are the same. `worker`: the one with that number.
 * `current`: the publisher alone, without leaving its process. `cluster`: every worker of every gateway. `gateway` and `worker`: whoever has
 * that number at that gateway, undefined: at this one; as the facts of an event have them, to answer it.
 */
export type EventTarget =
  | "all"
  | "others"
  | "one"
  | "current"
  | "cluster"
  | { readonly hash: string }
  | { readonly worker: number }
  | { readonly gateway: string | undefined; readonly worker: number };

/** An event on its way from a worker to the relay. */
export interface EventMessage {
  readonly to: Exclude<EventTarget, "current">;
  readonly topic: string;
  /** JSON. */
  readonly data: string;
  /** One worker is to handle it, and no other event with this text for some time. */
  readonly unique?: string | undefined;
}

/** An event on its way from the relay to a worker. */
export interface RelayedEvent {
  readonly topic: string;
  /** JSON. */
  readonly data: string;
  /** Number of the worker that has published it. */
  readonly from: number;
  /** Where that worker is; undefined: in this gateway. */
  readonly gateway?: string | undefined;
}

/** Events for one worker, in their order. */
export interface EventDelivery {
  readonly events: readonly RelayedEvent[];
  /** Events for this worker that have been lost, since its process is a member. */
  readonly lost: number;
}

/** An event as gateways send it to each other. */
export interface ClusterEvent {
  readonly topic: string;
  readonly data: string;
  readonly from: number;
}

/** One that is meant for the workers with a number at one gateway. */
export interface AddressedEvent extends ClusterEvent {
  readonly to: number;
}

/**
 * How a worker reaches the relay: a pipe to the master, or a call where there is one process. Both directions keep the order.
 * Messages are plain objects of texts and numbers, for any kind of channel between processes.
 */
export interface EventTransport {
  /** Sends messages; `done` is called when they have left this process, or never will. */
  send(messages: readonly EventMessage[], done: () => void): void;
  /** What comes from the relay goes to `listener`, which is the only one. */
  onMessage(listener: (delivery: EventDelivery) => void): void;
}

/** How the relay reaches a worker. */
export interface WorkerLink {
  /** Sends a delivery; `done` is called when it has left this process, or never will. */
  send(delivery: EventDelivery, done: () => void): void;
}

/** How the relay reaches the relays of other gateways. */
export interface ClusterTransport {
  send(event: ClusterEvent): void;
  /** Sends to one gateway: in no order with the others, at most once, and not at all while the way there is broken. */
  sendTo(gateway: string, event: AddressedEvent): void;
  /** What any gateway has sent, this one included, goes to `listener`; `onLost` is told of what was lost on the way. */
  onMessage(
    listener: (event: ClusterEvent | AddressedEvent, gateway: string | undefined) => void,
    onLost: () => void,
  ): void;
}

/** The longest event, in characters of its JSON and topic together. As lua-resty-events. */
export const MAX_EVENT_LENGTH = 65_536;

/** Events that may be on their way through one channel: a worker that hangs must not fill the memory of the others. As lua-resty-events. */
export const MAX_EVENTS_UNDER_WAY = 10_240;

/** The same, as characters. */
export const MAX_LENGTH_UNDER_WAY = 16_777_216;
