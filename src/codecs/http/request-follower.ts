import { listOf, requestFraming } from "./framing.ts";
import { MessageScanner } from "./message-scanner.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "./request-head.ts";

/**
 * Requests without a response, before more of them have to wait. Ten times what browsers ever pipelined; with heads of 16 KiB
 * at most, they cannot take more than 1 MiB.
 */
export const MAX_PIPELINED = 64;

/**
 * Follows a client's requests without changing a byte, so that it is known which one a response answers. After a request
 * that may turn the connection into another protocol it waits for the response, which alone tells what the next bytes are.
 */
export class RequestFollower {
  /** Those that wait for their response, oldest first. */
  readonly waiting: RequestHead[] = [];
  /** What no server could be sure about. */
  malformed: string | undefined;
  /** Calls once when {@link follow} may go on where it stopped. */
  onReady: (() => void) | undefined;
  /** Neither side speaks HTTP any more. */
  isTunnel = false;
  readonly #scanner = new MessageScanner({ decode: decodeRequestHead, limits: HEAD_LIMITS });
  /** The request that may turn the connection into another protocol. */
  #turning: RequestHead | undefined;

  /** How many bytes of the chunk may go to the peer now. The others are to be given again when {@link onReady} calls. */
  follow(chunk: Uint8Array): number {
    if (this.isTunnel) return chunk.length;
    this.#scanner.feed(chunk);
    while (!this.#mustWait) {
      if (this.#scanner.skipBody()) continue;
      const part = this.#scanner.next();
      if (!part) return chunk.length;
      if (part.kind === "head") this.#begin(part.head);
      if (part.kind === "malformed") this.malformed = part.reason;
      if (this.malformed !== undefined) return 0;
    }
    return chunk.length - this.#scanner.rest.length;
  }

  /** The oldest request was answered. */
  answered(as: "http" | "tunnel"): void {
    const request = this.waiting.shift();
    if (as === "tunnel") this.isTunnel = true;
    if (this.#turning === request) this.#turning = undefined;
    this.#goOn();
  }

  /** No response comes any more that would have to be understood: all bytes go to the peer. */
  stop(): void {
    this.isTunnel = true;
    this.#goOn();
  }

  #goOn(): void {
    const { onReady } = this;
    this.onReady = undefined;
    onReady?.();
  }

  /** Only the response to the last request tells what the next bytes are. */
  get isTurning(): boolean {
    return this.#turning !== undefined;
  }

  get #mustWait(): boolean {
    return this.#scanner.isIdle && (this.isTurning || this.waiting.length >= MAX_PIPELINED);
  }

  #begin(head: RequestHead): void {
    const framing = requestFraming(head);
    if (framing.kind === "malformed") {
      this.malformed = framing.reason;
      return;
    }
    this.#scanner.body(framing);
    this.waiting.push(head);
    if (head.method === "CONNECT" || wantsUpgrade(head)) this.#turning = head;
  }
}

/** RFC 9110 §7.8: only what `Connection` names is meant for us and the peer. */
export function wantsUpgrade({ headers }: RequestHead): boolean {
  return listOf(headers, "connection").includes("upgrade") && listOf(headers, "upgrade").length > 0;
}
