import { type Framing, isSuccess, responseFraming } from "./framing.ts";
import { MessageScanner, type Part } from "./message-scanner.ts";
import { type RequestFollower, wantsUpgrade } from "./request-follower.ts";
import type { RequestHead } from "./request-head.ts";
import { decodeResponseHead, RESPONSE_HEAD_LIMITS, type ResponseHead } from "./response-head.ts";

/** What a stream of responses consists of, for who changes heads and passes all else on. */
export type ResponsePart =
  | { readonly kind: "pass"; readonly bytes: Uint8Array }
  | {
      readonly kind: "head";
      readonly bytes: Uint8Array;
      readonly response: ResponseHead;
      readonly request: RequestHead;
      /** What follows the head; behind a tunnel's no side speaks HTTP any more. */
      readonly framing: Framing | { readonly kind: "tunnel" };
    }
  | { readonly kind: "malformed"; readonly reason: string };

const SWITCHING_PROTOCOLS = 101;
const FIRST_ERROR = 400;

/** A body that is read, not passed on: see {@link Part}. */
export type BodyPart = Exclude<Part<ResponseHead>, { kind: "head" | "gap" }>;

/** Finds the heads in what a peer sends, each with the request that it answers. */
export class ResponseFollower {
  readonly #requests: RequestFollower;
  readonly #scanner = new MessageScanner({ decode: decodeResponseHead, limits: RESPONSE_HEAD_LIMITS });

  constructor(requests: RequestFollower) {
    this.#requests = requests;
  }

  /** To be called when all parts of the chunk before were asked for. */
  feed(chunk: Uint8Array): void {
    this.#scanner.feed(chunk);
  }

  /** The next part; undefined when the chunk is at its end. */
  next(): ResponsePart | undefined {
    for (;;) {
      const body = this.#scanner.skipBody();
      if (body) return { kind: "pass", bytes: body };
      const part = this.#scanner.next();
      if (!part) return undefined;
      if (part.kind === "head") return this.#head(part.head, part.bytes);
      if (part.kind === "malformed") return part;
      if (part.kind !== "end") return { kind: "pass", bytes: part.bytes };
    }
  }

  /** Behind a head, in the place of {@link next}: the next part of its body, up to and including its `end`. */
  nextOfBody(): BodyPart | undefined {
    const part = this.#scanner.next();
    return part?.kind === "head" || part?.kind === "gap" ? undefined : part;
  }

  /** Why the peer may not end here, if so: a head must be whole. A body that is cut short, the client sees for itself. */
  atEnd(): string | undefined {
    return this.#scanner.hasBegunHead ? "the peer ended within a head" : undefined;
  }

  #head(response: ResponseHead, bytes: Uint8Array): ResponsePart {
    const [request] = this.#requests.waiting;
    if (!request) return this.#unasked(response, bytes);
    if (response.status === SWITCHING_PROTOCOLS) {
      if (!wantsUpgrade(request)) return malformed("101 to a request without Upgrade");
      return this.#tunnel(response, bytes, request);
    }
    if (response.status < 200) {
      this.#scanner.body({ kind: "none" });
      return { kind: "pass", bytes };
    }
    const framing = responseFraming(response, request.method);
    if (framing.kind === "malformed") return framing;
    if (request.method === "CONNECT" && isSuccess(response.status)) return this.#tunnel(response, bytes, request);
    this.#scanner.body(framing);
    this.#requests.answered("http");
    return { kind: "head", bytes, response, request, framing };
  }

  /** From here on neither side speaks HTTP. */
  #tunnel(response: ResponseHead, bytes: Uint8Array, request: RequestHead): ResponsePart {
    this.#scanner.body({ kind: "close" });
    this.#requests.answered("tunnel");
    return { kind: "head", bytes, response, request, framing: { kind: "tunnel" } };
  }

  /** A server's last words, as the 408 to a request that never became whole, are for the client as they are. */
  #unasked(response: ResponseHead, bytes: Uint8Array): ResponsePart {
    if (response.status < FIRST_ERROR) return malformed("a response that nobody asked for");
    this.#scanner.body({ kind: "close" });
    this.#requests.stop();
    return { kind: "pass", bytes };
  }
}

function malformed(reason: string): ResponsePart {
  return { kind: "malformed", reason };
}
