import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Codec } from "../../codecs/codec.ts";
import { GatewayError, messageOf } from "../../errors.ts";
import { backoffMs } from "../../shared/backoff.ts";
import type { Log } from "../../stream/log.ts";
import { Conversation } from "./conversation.ts";
import type { Dial } from "./dial-link.ts";
import { type Announcement, type Heard, helloOf, type Said } from "./frame.ts";
import type { LinkLimits, LinkTiming } from "./limits.ts";
import type { Sending } from "./wire.ts";

/** What all links of a worker have in common. */
export interface LinkParts {
  readonly dial: Dial;
  /** Asked for each hello. Undefined: there are no numbers to announce yet, so no link is made. */
  readonly announce: () => Announcement | undefined;
  readonly codec: Codec<unknown>;
  readonly timing: LinkTiming;
  readonly limits: LinkLimits;
  readonly log: Log;
  /** A game server has taken the hello. */
  readonly onOpen: (link: Link) => void;
  /** A game server has said something that is not the link's own business. Its frames behind wait for the promise. */
  readonly onFrame: (heard: Heard, link: Link, sizeBytes: number) => Promise<void> | undefined;
}

/** Where a link stands: being opened or announced, open, between two attempts, or closed for good. */
export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "open"; readonly since: number }
  | { readonly kind: "waiting"; readonly reason: string; readonly failures: number }
  | { readonly kind: "closed" };

/** Frames of one link, since it was made. */
export interface LinkCounts {
  readonly sent: number;
  /** Messages of hooks that did not leave, for whatever reason. */
  readonly dropped: number;
  readonly received: number;
  /** Requests of the server that were not done. */
  readonly refused: number;
  /** Hellos that the server has taken. */
  readonly welcomed: number;
}

/** Why a link is not made before Redis has given the gateway its numbers: others may have them. */
const NO_NUMBERS = "no lease of ids yet";

/** One link to one game server: connects, announces, keeps alive, and begins anew when it breaks. */
export class Link {
  /** Where it connects to. */
  readonly address: string;
  readonly #parts: LinkParts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #counts = { sent: 0, dropped: 0, received: 0, refused: 0, welcomed: 0 };
  #state: LinkState = { kind: "connecting" };
  #conversation: Conversation | undefined;
  /** What the server was told last over this connection. */
  #told: Announcement | undefined;
  #wake: () => void = () => {};

  constructor(address: string, parts: LinkParts) {
    this.address = address;
    this.#parts = parts;
    this.#running = this.#run(this.#stop.signal);
  }

  get state(): LinkState {
    return this.#state;
  }

  get counts(): LinkCounts {
    return { ...this.#counts };
  }

  /** A message of a hook's. Nothing waits for a link that is down. @throws TypeError for what the codec cannot say */
  sendMessage(data: unknown): Sending {
    const sending = this.#conversation?.sendMessage(data) ?? "closed";
    if (sending === "sent") this.#counts.sent++;
    else this.#counts.dropped++;
    return sending;
  }

  /** Any other frame; dropped where the link is down. */
  send(frame: Said): Sending {
    const sending = this.#conversation?.send(frame) ?? "closed";
    if (sending === "sent") this.#counts.sent++;
    if (sending === "sent" && frame.type === "refused") this.#counts.refused++;
    return sending;
  }

  /** What is announced may have changed: says hello anew if so. A link that waits for numbers to announce is made now. */
  announce(): void {
    const announcement = this.#parts.announce();
    if (!announcement) return;
    if (this.#told === undefined) this.#wake();
    else if (!isSame(announcement, this.#told) && this.send(helloOf(announcement)) === "sent")
      this.#told = announcement;
  }

  /** Says goodbye. Resolves when nothing is left open. */
  async close(reason: string): Promise<void> {
    this.#stop.abort(new GatewayError("RC_SHUTDOWN", reason));
    this.#conversation?.end(reason);
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { timing } = this.#parts;
    for (let failures = 0; !signal.aborted; ) {
      this.#state = { kind: "connecting" };
      const { reason, lastedMs } = await this.#attempt(signal);
      if (signal.aborted) break;
      failures = lastedMs >= timing.stableMs ? 1 : failures + 1;
      this.#state = { kind: "waiting", reason, failures };
      this.#report(reason, failures);
      await this.#pause(backoffMs(failures, timing), signal);
    }
    this.#state = { kind: "closed" };
  }

  async #pause(ms: number, stopped: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const signal = AbortSignal.any([stopped, woken.signal]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
    this.#wake = () => {};
  }

  /** One connection, from its begin to its end. */
  async #attempt(signal: AbortSignal): Promise<{ readonly reason: string; readonly lastedMs: number }> {
    let socket: Socket | undefined;
    try {
      if (!this.#parts.announce()) return { reason: NO_NUMBERS, lastedMs: 0 };
      const connected = await this.#parts.dial(this.address, signal);
      socket = connected;
      const announcement = this.#parts.announce(); // it may have changed while we connected
      if (!announcement) return { reason: NO_NUMBERS, lastedMs: 0 };
      const hello = helloOf(announcement);
      this.#told = announcement;
      const reason = await new Promise<string>((onEnd) => {
        this.#conversation = new Conversation(connected, hello, this.#parts, {
          onWelcome: () => this.#onWelcome(),
          onFrame: (heard, sizeBytes) => this.#onFrame(heard, sizeBytes),
          onEnd,
        });
        if (signal.aborted) this.#conversation.end("stopped"); // while the socket was on its way here
      });
      return { reason, lastedMs: this.#state.kind === "open" ? performance.now() - this.#state.since : 0 };
    } catch (cause) {
      return { reason: messageOf(cause), lastedMs: 0 };
    } finally {
      this.#conversation = undefined;
      this.#told = undefined;
      socket?.destroy(); // where it is closed already, or nobody came to take it over
    }
  }

  #onWelcome(): void {
    this.#counts.welcomed++;
    this.#state = { kind: "open", since: performance.now() };
    this.#parts.log.info("link open", { link: this.address });
    this.announce(); // what has changed since the hello could not be said before
    this.#parts.onOpen(this);
  }

  #onFrame(heard: Heard, sizeBytes: number): Promise<void> | undefined {
    this.#counts.received++;
    return this.#parts.onFrame(heard, this, sizeBytes);
  }

  /** The first failure of a row is news; the others are known to come. */
  #report(reason: string, failures: number): void {
    const { log } = this.#parts;
    const fields = { link: this.address, reason, failures };
    if (failures === 1) log.warn("link lost", fields);
    else log.debug("no link", fields);
  }
}

function isSame(one: Announcement, other: Announcement): boolean {
  return one.worker === other.worker && one.master === other.master && one.address === other.address;
}
