import type { Decoded } from "../codec.ts";
import { bodyScanner } from "./body.ts";
import type { BodyScanner } from "./body-scanner.ts";
import type { HeadLimits } from "./fields.ts";
import type { Framing } from "./framing.ts";
import { HeadCollector } from "./head-collector.ts";

/** What a stream of messages consists of, in its order. `bytes` are as they came, valid until the scanner is fed again. */
export type Part<Head> =
  /** Empty lines in front of a head (RFC 9112 §2.2). */
  | { readonly kind: "gap"; readonly bytes: Uint8Array }
  | { readonly kind: "head"; readonly bytes: Uint8Array; readonly head: Head }
  /** A piece of a body, or of what frames it. */
  | { readonly kind: BodyScanner["span"]; readonly bytes: Uint8Array }
  /** The message is whole. */
  | { readonly kind: "end" }
  | { readonly kind: "malformed"; readonly reason: string };

/** How heads are read. */
export interface HeadDecoder<Head> {
  readonly decode: (bytes: Uint8Array, limits: HeadLimits) => Decoded<Head>;
  readonly limits: HeadLimits;
}

const MAX_GAP_BYTES = 8; // some clients send an empty line behind a body; four are room enough
const PROBE_BYTES = 64; // so far each piece of a head is looked at, then the first line: enough to see that it is none of HTTP
const LF = 0x0a;
const CR = 0x0d;
const EMPTY = new Uint8Array();
const END: { readonly kind: "end" } = { kind: "end" };

/**
 * Cuts a stream of HTTP/1 messages into heads and bodies, however it is cut itself: feed it a chunk, then ask for parts until
 * there are none. After a head it must be told by {@link body} where the body ends, because for a response only the request
 * knows. Looks at each byte once and copies only a head that came in pieces, so trickled bytes cost no more than others.
 */
export class MessageScanner<Head> {
  readonly #decoder: HeadDecoder<Head>;
  readonly #collector = new HeadCollector();
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  #gap = 0;
  #state: "head" | "headSeen" | "body" | "end" = "head";
  #body: BodyScanner | undefined;
  #wasProbed = false;
  #refusal: Part<Head> | undefined;

  constructor(decoder: HeadDecoder<Head>) {
    this.#decoder = decoder;
  }

  /** Between two messages, or before the first: the stream may end here. */
  get isIdle(): boolean {
    return this.#state === "head" && this.#collector.size === 0;
  }

  /** Some bytes of a head are there, and not all. */
  get hasBegunHead(): boolean {
    return this.#collector.size > 0;
  }

  /** Bytes of the chunk that are not scanned yet. */
  get rest(): Uint8Array {
    return this.#chunk.subarray(this.#at);
  }

  /** To be called when all parts of the chunk before were asked for. */
  feed(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Tells where the body of the message ends whose head came last. */
  body(framing: Framing): void {
    this.#body = bodyScanner(framing);
    this.#state = this.#body ? "body" : "end";
  }

  /**
   * Goes over what there is of a body in one go, and returns it with its framing, as it came: for who passes it on untouched.
   * Undefined where the next part is none of a body.
   */
  skipBody(): Uint8Array | undefined {
    const { at, body } = { at: this.#at, body: this.#body };
    if (this.#state !== "body" || !body || this.#refusal) return undefined;
    while (this.#state === "body" && this.#at < this.#chunk.length && !this.#refusal) this.#step(body);
    return at === this.#at || this.#refusal ? undefined : this.#chunk.subarray(at, this.#at);
  }

  /** The next part; undefined when the chunk is at its end. What is malformed stays so. */
  next(): Part<Head> | undefined {
    if (this.#refusal) return this.#refusal;
    if (this.#state === "headSeen") throw new TypeError("where the body ends was not told");
    if (this.#state === "end") return this.#end();
    if (this.#at === this.#chunk.length) return undefined;
    if (this.#state === "body" && this.#body) return this.#bodyPart(this.#body);
    return this.#gapPart() ?? this.#headPart();
  }

  #end(): Part<Head> {
    this.#state = "head";
    this.#gap = 0;
    this.#wasProbed = false;
    return END;
  }

  #bodyPart(body: BodyScanner): Part<Head> {
    const start = this.#at;
    this.#step(body);
    return this.#refusal ?? { kind: body.span, bytes: this.#chunk.subarray(start, this.#at) };
  }

  #step(body: BodyScanner): void {
    this.#at = body.step(this.#chunk, this.#at);
    if (body.state === "malformed") this.#refuse("malformed chunk");
    if (body.state === "done") this.#state = "end";
  }

  #gapPart(): Part<Head> | undefined {
    if (this.#collector.size > 0) return undefined;
    const start = this.#at;
    while (isLineEnd(this.#chunk[this.#at])) this.#at++;
    if (this.#at === start) return undefined;
    this.#gap += this.#at - start;
    if (this.#gap > MAX_GAP_BYTES) return this.#refuse("too many empty lines");
    return { kind: "gap", bytes: this.#chunk.subarray(start, this.#at) };
  }

  #headPart(): Part<Head> | undefined {
    if (this.#at === this.#chunk.length) return undefined;
    const { maxBytes } = this.#decoder.limits;
    const end = this.#collector.end(this.#chunk, this.#at);
    const piece = this.#chunk.subarray(this.#at, end === -1 ? undefined : end);
    this.#at += piece.length;
    if (this.#collector.size + piece.length > maxBytes) return this.#refuse(`no end of head within ${maxBytes} bytes`);
    if (end !== -1) return this.#wholeHead(this.#collector.take(piece));
    const isEarly = this.#collector.size < PROBE_BYTES;
    this.#collector.keep(piece);
    if (!isEarly && (this.#wasProbed || !piece.includes(LF))) return undefined;
    this.#wasProbed = !isEarly;
    return this.#probe();
  }

  #wholeHead(bytes: Uint8Array): Part<Head> {
    const decoded = this.#decoder.decode(bytes, this.#decoder.limits);
    if (decoded.kind === "malformed") return this.#refuse(decoded.reason);
    if (decoded.kind === "more" || decoded.size !== bytes.length) return this.#refuse("not a head of HTTP/1.x");
    this.#state = "headSeen";
    return { kind: "head", bytes, head: decoded.value };
  }

  /** Looks at a head that has only begun: what is no HTTP may never have an empty line, and is not waited for. */
  #probe(): Part<Head> | undefined {
    const decoded = this.#decoder.decode(this.#collector.begun, this.#decoder.limits);
    if (decoded.kind === "malformed") return this.#refuse(decoded.reason);
    return decoded.kind === "frame" ? this.#refuse("HTTP/0.9 behind another request") : undefined;
  }

  #refuse(reason: string): Part<Head> {
    this.#refusal = { kind: "malformed", reason };
    return this.#refusal;
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}
