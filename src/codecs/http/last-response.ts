import { asBuffer } from "../as-buffer.ts";
import { type Framing, isKeptAlive, isSuccess, listOf, responseFraming } from "./framing.ts";
import { editedHead, Headers } from "./headers.ts";
import { MessageScanner } from "./message-scanner.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "./request-head.ts";
import { decodeResponseHead, RESPONSE_HEAD_LIMITS, type ResponseHead } from "./response-head.ts";

const SWITCHING_PROTOCOLS = 101;

/**
 * Makes the next response of a connection its last one: adds `Connection: close` to it, and tells where it ends (RFC 9112 §9.6).
 * It may begin in the middle of a connection of which no byte was seen. It begins to understand at a turn, when one side speaks behind
 * the other: a request where the client speaks, a response where the peer answers. Whatever is none passes, byte for byte, until
 * the next turn. So bytes of a body, of a WebSocket or of a tunnel are not changed, whatever they look like.
 */
export class LastResponse {
  /**
   * `deaf`: the client is in the midst of something. `listening`: the next byte of the client may begin a request. `asked`: the next one
   * of the peer begins a response. `last`: that one has begun. `over`: it has gone, and nothing may follow. `off`: the connection
   * ends by itself, or is no HTTP any more.
   */
  #state: "deaf" | "listening" | "asked" | "last" | "over" | "off";
  #requests: MessageScanner<RequestHead> | undefined;
  #responses: MessageScanner<ResponseHead> | undefined;
  /** What the peer answers; undefined: a request that was not seen. */
  #request: RequestHead | undefined;
  /** Pieces of a head that is not whole, and what stands before it, … */
  #held: Buffer[] = [];
  /** … so many bytes, which have gone already. */
  #gone = 0;

  /** `spokeLast`: whose bytes were the last ones before. */
  constructor(spokeLast: "client" | "peer") {
    this.#state = spokeLast === "client" ? "asked" : "listening";
  }

  /** Nothing of the peer may go to the client any more. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  /** The client waits for an answer, or is about to ask. */
  get isBusy(): boolean {
    if (this.#state === "listening") return this.#requests?.hasBegunHead ?? false;
    return this.#state !== "over" && this.#state !== "off";
  }

  /** Looks at what goes to the peer. */
  fromClient(chunk: Uint8Array): void {
    if (this.#state !== "listening") return;
    this.#requests ??= new MessageScanner({ decode: decodeRequestHead, limits: HEAD_LIMITS });
    this.#requests.feed(chunk);
    let part = this.#requests.next();
    while (part?.kind === "gap") part = this.#requests.next();
    if (!part) return;
    this.#request = part.kind === "head" ? part.head : undefined;
    this.#requests = undefined;
    this.#state = this.#request ? "asked" : "deaf";
  }

  /** What goes to the client in the place of what the peer has sent. Pieces are of the chunk's memory. */
  fromPeer(chunk: Buffer): readonly Buffer[] {
    switch (this.#state) {
      case "asked":
        return this.#answer(chunk);
      case "last":
        this.#responses?.feed(chunk);
        return this.#body(chunk);
      case "over":
        return [];
      case "off":
        return [chunk];
      default:
        this.#listen();
        return [chunk];
    }
  }

  /** What is still held back when the peer has ended. */
  rest(): readonly Buffer[] {
    const rest = Buffer.concat(this.#held).subarray(this.#gone);
    this.#forget();
    return rest.length > 0 ? [rest] : [];
  }

  #listen(): void {
    this.#state = "listening";
    this.#requests = undefined;
    this.#responses = undefined;
    this.#forget();
  }

  #forget(): void {
    this.#held = [];
    this.#gone = 0;
  }

  #answer(chunk: Buffer): readonly Buffer[] {
    this.#responses ??= new MessageScanner({ decode: decodeResponseHead, limits: RESPONSE_HEAD_LIMITS });
    const responses = this.#responses;
    responses.feed(chunk);
    this.#held.push(chunk);
    const out: Buffer[] = [];
    for (;;) {
      const part = responses.next();
      if (!part && responses.isIdle) this.#forget();
      if (!part) return out;
      if (part.kind === "malformed") return [...out, ...this.#giveUp()];
      if (part.kind === "head" && !isInterim(part.head)) return [...out, ...this.#final(part.head, part.bytes, chunk)];
      if (part.kind === "head") responses.body({ kind: "none" });
      if (part.kind === "end") continue;
      out.push(asBuffer(part.bytes));
      this.#gone += part.bytes.length;
    }
  }

  /** It is no response, so nobody knows what it is: all of it passes. */
  #giveUp(): readonly Buffer[] {
    const rest = this.rest();
    this.#listen();
    return rest;
  }

  #final(head: ResponseHead, bytes: Uint8Array, chunk: Buffer): readonly Buffer[] {
    const framing = this.#framingOf(head);
    const behind = chunk.subarray(chunk.length - (this.#responses?.rest.length ?? 0));
    this.#forget();
    this.#state = framing ? "last" : "off";
    if (!framing) return [asBuffer(bytes), behind].filter(({ length }) => length > 0);
    this.#responses?.body(framing);
    return [closing(head, bytes), ...this.#body(chunk)];
  }

  /** Where the body of the last response ends; undefined: this is not to be changed. */
  #framingOf(head: ResponseHead): Framing | undefined {
    const { method = "GET" } = this.#request ?? {};
    if (head.status === SWITCHING_PROTOCOLS || (method === "CONNECT" && isSuccess(head.status))) return undefined;
    const framing = responseFraming(head, method);
    if (framing.kind === "malformed" || !isKeptAlive(head)) return undefined;
    return framing.kind === "close" && !this.#request ? undefined : framing; // it may be the answer to a CONNECT
  }

  #body(chunk: Buffer): readonly Buffer[] {
    const responses = this.#responses;
    const out: Buffer[] = [];
    for (let at = 0; responses; ) {
      at = chunk.length - responses.rest.length;
      const body = responses.skipBody();
      if (body) out.push(asBuffer(body));
      if (body) continue;
      const part = responses.next();
      if (part?.kind === "malformed") {
        this.#state = "off"; // the client sees that it is, and that the connection is closed behind it
        out.push(chunk.subarray(at));
        return out;
      }
      if (part?.kind === "end") this.#state = "over";
      if (!part || part.kind === "end") return out;
    }
    return out;
  }
}

function isInterim({ status }: ResponseHead): boolean {
  return status < 200 && status !== SWITCHING_PROTOCOLS;
}

/** RFC 9112 §9.6: `close` in the place of `keep-alive`, beside other options. */
function closing(head: ResponseHead, bytes: Uint8Array): Buffer {
  const headers = new Headers(head.headers);
  const options = listOf(head.headers, "connection").filter((option) => option !== "" && option !== "keep-alive");
  headers.set("Connection", [...options, "close"].join(", "));
  headers.delete("Keep-Alive");
  return editedHead(bytes, headers);
}
