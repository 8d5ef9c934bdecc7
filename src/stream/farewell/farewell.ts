import type { Goodbye } from "../../codecs/goodbye/goodbye.ts";
import { LastResponse } from "../../codecs/http/last-response.ts";
import { FilterRelay } from "../filter/filter-relay.ts";
import { isHttp } from "../filter/header-filter.ts";
import type { MakeStages } from "../filter/stage.ts";
import type { Recalled, Relay } from "../relay.ts";
import { lastResponseStages } from "./last-response-stages.ts";
import { lastWordsOf, type Speaking } from "./last-words.ts";

/**
 * So long no byte may have moved before words go in: longer than a sender pauses within a message, and than a lost packet takes to
 * come again on a good network. So they stand between two messages.
 */
const REST_MS = 250;

/** A session as who ends it in good order sees it. */
export interface FarewellHost extends Speaking {
  readonly relayed: Relay | undefined;
  readonly isOver: boolean;
  readonly idleTimeoutMs: number;
  /** This relay has the bytes from now on; the one before was recalled. Ends it, if the session was ended meanwhile. */
  goOnBy(relay: Relay): void;
  /** The session is to be ended, and whoever calls this ends the bytes. */
  depart(cause: Goodbye["why"]): void;
  /** The session is to be ended, and its bytes with it. */
  stop(cause: Goodbye["why"]): void;
}

/** How a session says that it ends: in words of its protocol, or in its next response. Undefined: not at all. */
export function farewellKindOf(session: Speaking): "words" | "response" | undefined {
  if (isClosable(session)) return "response";
  return session.sniffer?.goodbye ? "words" : undefined;
}

/** HTTP/1 that has not asked to become anything else, but for what most servers do not take up (RFC 9113 §3.1): curl and Java offer it. */
function isClosable({ protocol, info }: Speaking): boolean {
  if (!isHttp({ protocol, info }) || typeof info !== "object" || info === null) return false;
  const upgrade = "upgrade" in info ? info.upgrade : undefined;
  return methodOf(info) !== "CONNECT" && (upgrade === undefined || upgrade === "h2c");
}

function methodOf(info: unknown): string | undefined {
  if (typeof info !== "object" || info === null || !("method" in info)) return undefined;
  return typeof info.method === "string" ? info.method : undefined;
}

/** The end of one session in good order: with words of its protocol, or, for HTTP/1, behind a response that announces it. */
export class Farewell {
  readonly #session: FarewellHost;
  /** Once it is announced. */
  #last: LastResponse | undefined;

  constructor(session: FarewellHost) {
    this.#session = session;
  }

  /** {@link announce} has done it. */
  get isAnnounced(): boolean {
    return this.#last !== undefined;
  }

  /**
   * Makes the next response the last one, wherever the session is in its conversation. Does nothing while bytes are under way.
   * Never rejects.
   */
  async announce(): Promise<void> {
    const { relayed, isOver } = this.#session;
    if (this.#last || !relayed || isOver) return;
    if (relayed instanceof FilterRelay) this.#announceIn(relayed);
    else await this.#recall(relayed, 0, (spokeLast) => this.#stagesFor(spokeLast));
  }

  /** Ends the session, if it is between two messages. False: it is not, and goes on. Never rejects. */
  async say(why: Goodbye["why"]): Promise<boolean> {
    const session = this.#session;
    const { relayed } = session;
    if (session.isOver || !relayed) return session.isOver;
    if (isClosable(session)) return this.#endBetween(why);
    const words = lastWordsOf(session, why);
    if (!words) session.stop(why);
    const relay = words && (relayed instanceof FilterRelay ? relayed : await this.#recall(relayed, REST_MS, NO_STAGES));
    const isSaid =
      !session.isOver && words !== undefined && relay?.leave(words, relay === relayed ? REST_MS : 0) === true;
    if (isSaid) session.depart(why);
    return session.isOver;
  }

  /** Between two exchanges, as far as they were seen. */
  #endBetween(why: Goodbye["why"]): boolean {
    if (!this.#last || this.#last.isBusy) return false;
    this.#session.stop(why);
    return true;
  }

  #lastResponse(spokeLast: Recalled["spokeLast"]): LastResponse {
    const { info, bytesSent } = this.#session;
    // the method of the first request is known, and as long as nothing was sent, it is what is answered next
    this.#last = new LastResponse(spokeLast, { method: bytesSent === 0 ? methodOf(info) : undefined });
    return this.#last;
  }

  #announceIn(relay: FilterRelay): void {
    const last = this.#lastResponse(relay.spokeLast);
    relay.append(lastResponseStages(last, () => this.#end(relay)));
  }

  #stagesFor(spokeLast: Recalled["spokeLast"]): MakeStages {
    const last = this.#lastResponse(spokeLast);
    return (control) => {
      const { up, down } = lastResponseStages(last, () => this.#end(control));
      return { up: [up], down: [down] };
    };
  }

  /** The last response is on its way: what is behind it is nobody's any more. */
  #end(relay: { finish(): void }): void {
    this.#session.depart("drained");
    relay.finish();
  }

  /** Takes the bytes into JavaScript. Undefined: they were not at rest. */
  async #recall(
    relay: Relay,
    restMs: number,
    stagesFor: (spokeLast: Recalled["spokeLast"]) => MakeStages,
  ): Promise<FilterRelay | undefined> {
    const sides = await relay.recall(restMs);
    if (!sides) return undefined;
    const { idleTimeoutMs } = this.#session;
    const filters = stagesFor(sides.spokeLast);
    const next = new FilterRelay(sides.client, sides.peer, { idleTimeoutMs, filters, before: relay });
    this.#session.goOnBy(next);
    return next;
  }
}

const NO_STAGES = (): MakeStages => () => ({ up: [], down: [] });
