import { asBuffer } from "../../codecs/as-buffer.ts";
import type { RequestFollower } from "../../codecs/http/request-follower.ts";
import { ResponseFollower, type ResponsePart } from "../../codecs/http/response-follower.ts";
import { GatewayError } from "../../errors.ts";
import type { Awaitable } from "../session.ts";
import type { Pieces, Stage } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];

/** The head of a final response, or of one that begins a tunnel. */
export type ResponseSeen = Extract<ResponsePart, { kind: "head" }>;

/** Follows requests without a change. Holds bytes back where only a response tells what they are. */
export class RequestTap implements Stage {
  /** It waits for a response, which may take its time. */
  readonly isUnlimited = true;
  readonly #requests: RequestFollower;
  #chunk: Buffer | undefined;

  constructor(requests: RequestFollower) {
    this.#requests = requests;
  }

  push(chunk: Buffer): void {
    this.#chunk = chunk;
  }

  next(): Awaitable<Pieces | undefined> {
    const chunk = this.#chunk;
    if (!chunk) return undefined;
    const size = this.#requests.follow(chunk);
    const { malformed } = this.#requests;
    if (malformed !== undefined) throw new GatewayError("RC_HTTP", malformed);
    this.#chunk = size < chunk.length ? chunk.subarray(size) : undefined;
    if (size > 0) return size < chunk.length ? chunk.subarray(0, size) : chunk;
    return new Promise((resolve) => {
      this.#requests.onReady = () => resolve(NOTHING);
    });
  }

  end(): undefined {}
}

/** Follows responses, and asks what goes to the client for each head; all else passes as it came. */
export class ResponseTap implements Stage {
  /** Hooks that are asked about a head have a limit of their own. */
  readonly isUnlimited = true;
  readonly #requests: RequestFollower;
  readonly #responses: ResponseFollower;
  readonly #onHead: (head: ResponseSeen) => Awaitable<Pieces>;

  constructor(requests: RequestFollower, onHead: (head: ResponseSeen) => Awaitable<Pieces>) {
    this.#requests = requests;
    this.#responses = new ResponseFollower(requests);
    this.#onHead = onHead;
  }

  push(chunk: Buffer): void {
    this.#responses.feed(chunk);
  }

  next(): Awaitable<Pieces | undefined> {
    const part = this.#responses.next();
    switch (part?.kind) {
      case "pass":
        return asBuffer(part.bytes);
      case "head":
        return this.#onHead(part);
      case "malformed":
        throw new GatewayError("RC_PEER_HTTP", part.reason);
      default:
        return part;
    }
  }

  end(isCut: boolean): undefined {
    const fault = isCut ? undefined : this.#responses.atEnd();
    if (fault !== undefined) throw new GatewayError("RC_PEER_HTTP", fault);
    this.#requests.stop(); // nobody answers what is held back
  }
}
