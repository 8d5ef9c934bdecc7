import { asBuffer } from "../as-buffer.ts";
import { type Framing, isKeptAlive, isSuccess, listOf, requestFraming, responseFraming } from "./framing.ts";
import { editedHead, Headers } from "./headers.ts";
import { MessageScanner } from "./message-scanner.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "./request-head.ts";
import { decodeResponseHead, RESPONSE_HEAD_LIMITS, type ResponseHead } from "./response-head.ts";

const SWITCHING_PROTOCOLS = 101;

/** A peer that has been silent for so long before a request has said all of the response before: within one it rarely pauses at all. */
const SILENCE_MS = 100;

/** A length without a byte of the body for so long is taken for the answer to a `HEAD` that nobody saw: bodies follow their heads at once. */
const BARE_MS = 5_000;

/** What is known of a conversation that did not begin here. */
export interface LastResponseOptions {
  /** Of the request that waits for its answer, where it is known. */
  readonly method?: string | undefined;
  /** A clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * Makes the next response of a connection its last one: adds `Connection: close` to it, and tells where it ends (RFC 9112 §9.6).
 * It may begin in the middle of a connection of which no byte was seen. It begins to understand at a turn, when one side speaks behind
 * the other: a request where the client speaks, a response where the peer answers. Whatever is none passes, byte for byte, until
 * the next turn. So bytes of a body, of a WebSocket or of a tunnel are not changed, whatever they look like.
 *
 * A client may ask before it has read all of the response before (RFC 9112 §9.3.2), and the bytes behind its request are none of the
 * answer then. So one that comes right behind bytes of the peer is only followed to its end, and the next one is the last.
 */
export class LastResponse {
  /**
   * `deaf`: the client is in the midst of something. `listening`: the next byte of the client may begin a request. `asked`: the next one
   * of the peer begins a response. `followed`: one that passes as it is has begun. `last`: the last one has. `over`: it has gone, and
   * nothing may follow. `leaving`: one has begun that says `close` by itself; `left`: it has gone. `tunnel`: it is no HTTP any more.
   * `off`: nobody knows where what has begun ends.
   */
  #state: "deaf" | "listening" | "asked" | "followed" | "last" | "over" | "leaving" | "left" | "tunnel" | "off";
  /** Where the peer is: maybe within a response; within one, or silent, and behind it another one is owed; between two of them. */
  #peerIs: "unknown" | "owing" | "between";
  #requests: MessageScanner<RequestHead> | undefined;
  #responses: MessageScanner<ResponseHead> | undefined;
  /** Of what the peer answers; undefined: a request that was not seen. */
  #method: string | undefined;
  readonly #now: () => number;
  /** When the peer has spoken last, as far as it was seen. */
  #spokeAt: number;
  /** The peer was silent before the request that is read. */
  #wasSilent = false;
  /** Some byte of the response's body has come. */
  #hasBody = false;
  /** Pieces of a head that is not whole, and what stands before it, … */
  #held: Buffer[] = [];
  /** … so many bytes, which have gone already. */
  #gone = 0;

  /** `spokeLast`: whose bytes were the last ones before. */
  constructor(spokeLast: "client" | "peer", { method, now = () => performance.now() }: LastResponseOptions = {}) {
    this.#state = spokeLast === "client" ? "asked" : "listening";
    this.#peerIs = spokeLast === "client" ? "between" : "unknown";
    this.#method = method;
    this.#now = now;
    this.#spokeAt = now();
  }

  /** Nothing of the peer may go to the client any more. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  /** The client waits for an answer, is about to ask, or may be within a response: an end would cut it. */
  get isBusy(): boolean {
    switch (this.#state) {
      case "over":
      case "left":
      case "tunnel":
        return false;
      case "last":
      case "leaving":
        return !this.#isBare;
      case "listening":
        return this.#peerIs !== "between" || (this.#requests?.hasBegunHead ?? false);
      default:
        return true;
    }
  }

  /** It seems to answer a `HEAD`: so no body is to come. */
  get #isBare(): boolean {
    return this.#method === undefined && !this.#hasBody && this.#now() - this.#spokeAt >= BARE_MS;
  }

  /** Looks at what goes to the peer. */
  fromClient(chunk: Uint8Array): void {
    if (this.#state === "listening" && !this.#requests) {
      this.#requests = new MessageScanner({ decode: decodeRequestHead, limits: HEAD_LIMITS });
      this.#wasSilent = this.#now() - this.#spokeAt >= SILENCE_MS;
    }
    this.#requests?.feed(chunk);
    for (let part = this.#requests?.next(); part; part = this.#requests?.next()) {
      if (part.kind === "head") this.#ask(part.head);
      else if (part.kind === "malformed") this.#unread();
    }
  }

  /** The first request of a turn is the one that is answered next; one behind it has come too early. */
  #ask(head: RequestHead): void {
    const framing = requestFraming(head);
    const isFirst = this.#state === "listening";
    if (isFirst && framing.kind !== "malformed") this.#requests?.body(framing);
    else this.#requests = undefined;
    if (!isFirst) return;
    this.#method = head.method;
    this.#state = "asked";
    if (this.#peerIs === "unknown" && this.#wasSilent) this.#peerIs = "between";
  }

  #unread(): void {
    this.#requests = undefined;
    if (this.#state === "listening") this.#state = "deaf";
  }

  /** What goes to the client in the place of what the peer has sent. Pieces are of the chunk's memory. */
  fromPeer(chunk: Buffer): readonly Buffer[] {
    this.#spokeAt = this.#now();
    switch (this.#state) {
      case "asked":
        return this.#answer(chunk);
      case "last":
        this.#responses?.feed(chunk);
        return this.#body(chunk);
      case "followed":
      case "leaving":
        this.#responses?.feed(chunk);
        this.#follow();
        return [chunk];
      case "over":
        return [];
      case "off":
      case "tunnel":
        return [chunk];
      default:
        this.#listen(this.#peerIs === "owing" ? "owing" : "unknown");
        return [chunk];
    }
  }

  /** What is still held back when the peer has ended. */
  rest(): readonly Buffer[] {
    const rest = Buffer.concat(this.#held).subarray(this.#gone);
    this.#forget();
    return rest.length > 0 ? [rest] : [];
  }

  #listen(peerIs: "unknown" | "owing" | "between"): void {
    this.#state = "listening";
    this.#peerIs = peerIs;
    if (!this.#requests?.hasBegunHead) this.#requests = undefined;
    this.#wasSilent = false;
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

  /** It is no response, so nobody knows what it is: all of it passes, and the answer is still to come. */
  #giveUp(): readonly Buffer[] {
    const rest = this.rest();
    this.#listen("owing");
    return rest;
  }

  #final(head: ResponseHead, bytes: Uint8Array, chunk: Buffer): readonly Buffer[] {
    const behind = chunk.subarray(chunk.length - (this.#responses?.rest.length ?? 0));
    const { state, framing } = this.#courseOf(head);
    this.#forget();
    this.#state = state;
    this.#hasBody = behind.length > 0;
    if (framing) this.#responses?.body(framing);
    if (state === "last") return [closing(head, bytes), ...this.#body(chunk)];
    if (framing) this.#follow();
    return [asBuffer(bytes), behind].filter(({ length }) => length > 0);
  }

  /** What becomes of a response, and where its body ends, if that is of use. */
  #courseOf(head: ResponseHead): {
    readonly state: "tunnel" | "off" | "leaving" | "followed" | "last";
    readonly framing?: Framing;
  } {
    const method = this.#method ?? "GET";
    if (head.status === SWITCHING_PROTOCOLS || (method === "CONNECT" && isSuccess(head.status)))
      return { state: "tunnel" };
    const framing = responseFraming(head, method);
    if (framing.kind === "malformed") return { state: "off" };
    if (framing.kind === "close" && !this.#method) return { state: "off" }; // it may be the answer to a CONNECT
    if (!isKeptAlive(head)) return { state: "leaving", framing };
    return { state: this.#peerIs === "between" ? "last" : "followed", framing };
  }

  /** Goes on to the end of a response that passes as it is. */
  #follow(): void {
    const responses = this.#responses;
    for (;;) {
      if (responses?.skipBody()) this.#hasBody = true;
      const part = responses?.next();
      if (part?.kind === "malformed") this.#state = "off";
      else if (part?.kind === "end") this.#followed(responses?.rest.length === 0);
      else if (part) continue;
      return;
    }
  }

  /** Where nothing is behind it, and nothing was asked too early, it was what it seemed to be. */
  #followed(isLast: boolean): void {
    if (this.#state === "leaving") this.#state = "left";
    else this.#listen(isLast && this.#requests?.isIdle ? "between" : "owing");
  }

  #body(chunk: Buffer): readonly Buffer[] {
    const responses = this.#responses;
    const out: Buffer[] = [];
    for (let at = 0; responses; ) {
      at = chunk.length - responses.rest.length;
      const body = responses.skipBody();
      if (body) {
        this.#hasBody = true;
        out.push(asBuffer(body));
        continue;
      }
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
