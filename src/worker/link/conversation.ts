import type { Socket } from "node:net";
import { type Heard, readFrame, type Said } from "./frame.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { LinkParts } from "./link.ts";
import { type Sending, Wire } from "./wire.ts";

/** Who listens to a conversation. */
export interface ConversationHost {
  /** The server has taken the hello. */
  onWelcome(): void;
  /** A frame that means something to others, once welcomed. Those behind it wait for the promise. */
  onFrame(heard: Heard, sizeBytes: number): Promise<void> | undefined;
  /** Called once. */
  onEnd(reason: string): void;
}

/** One connection to a game server, from the hello to its end. */
export class Conversation {
  readonly #host: ConversationHost;
  readonly #parts: LinkParts;
  readonly #wire: Wire;
  readonly #patience: NodeJS.Timeout;
  #heartbeat: Heartbeat | undefined;

  /** Takes over a connected socket, and says hello. */
  constructor(socket: Socket, hello: Said, parts: LinkParts, host: ConversationHost) {
    const { codec, limits, timing } = parts;
    this.#parts = parts;
    this.#host = host;
    this.#wire = new Wire(
      socket,
      { codec, limits, goodbyeMs: timing.goodbyeMs },
      { onFrame: (value, size) => this.#onFrame(value, size), onEnd: (reason) => this.#onEnd(reason) },
    );
    const late = (): void => this.#wire.destroy(`no welcome within ${timing.welcomeMs} ms`);
    this.#patience = setTimeout(late, timing.welcomeMs).unref();
    this.#wire.send(hello);
    this.#wire.start();
  }

  /** The server has taken the hello. */
  get isWelcome(): boolean {
    return this.#heartbeat !== undefined;
  }

  /** @throws TypeError for what the codec cannot say */
  sendMessage(data: unknown): Sending {
    return this.isWelcome ? this.#wire.sendMessage(data) : "closed";
  }

  send(frame: Said): Sending {
    return this.isWelcome ? this.#wire.send(frame) : "closed";
  }

  /** Ends it: with a goodbye where the server knows us. */
  end(reason: string): void {
    if (this.isWelcome) this.#wire.end({ type: "goodbye", reason }, reason);
    else this.#wire.destroy(reason);
  }

  #onFrame(value: unknown, sizeBytes: number): Promise<void> | undefined {
    const heard = readFrame(value);
    if (!this.#heartbeat) {
      this.#greeted(heard);
      return undefined;
    }
    this.#heartbeat.heard();
    switch (heard.kind) {
      case "ping":
        this.#wire.send({ type: "pong", id: heard.id });
        return undefined;
      case "goodbye":
        this.#wire.destroy(`goodbye: ${heard.reason}`);
        return undefined;
      default:
        return this.#host.onFrame(heard, sizeBytes);
    }
  }

  /** The first frame of a server. */
  #greeted(heard: Heard): void {
    if (heard.kind === "welcome") {
      clearTimeout(this.#patience);
      this.#heartbeat = new Heartbeat(this.#parts.timing, {
        ping: (id) => void this.#wire.send({ type: "ping", id }),
        onDead: () => this.#wire.destroy(`no answer to a ping within ${this.#parts.timing.heartbeatTimeoutMs} ms`),
      });
      this.#host.onWelcome();
    } else if (heard.kind === "refused" || heard.kind === "goodbye") {
      this.#wire.destroy(`${heard.kind}: ${heard.reason}`);
    } else {
      const reason = `expected welcome, got ${heard.kind === "wrong" ? heard.reason : heard.kind}`;
      this.#wire.end({ type: "goodbye", reason }, reason);
    }
  }

  #onEnd(reason: string): void {
    clearTimeout(this.#patience);
    this.#heartbeat?.stop();
    this.#host.onEnd(reason);
  }
}
