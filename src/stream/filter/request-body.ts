import { asBuffer } from "../../codecs/as-buffer.ts";
import { requestFraming } from "../../codecs/http/framing.ts";
import { editedHead, Headers } from "../../codecs/http/headers.ts";
import { MessageScanner } from "../../codecs/http/message-scanner.ts";
import type { RequestFollower } from "../../codecs/http/request-follower.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "../../codecs/http/request-head.ts";
import { GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import { BodyRun } from "./body-run.ts";
import { requestOf } from "./header-tools.ts";
import type { HttpBodyHooks, HttpMessage } from "./http-body.ts";
import type { Pieces, Stage } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];
const NO_BYTES = new Uint8Array();

/** Filters the bodies of requests. Somebody behind it must follow what goes to the peer, to tell what a tunnel is. */
export class RequestBodyStage implements Stage {
  readonly #requests: RequestFollower;
  readonly #filter: HttpBodyHooks;
  readonly #session: FilterSession;
  readonly #scanner = new MessageScanner({ decode: decodeRequestHead, limits: HEAD_LIMITS });
  /** The body that is filtered. */
  #run: BodyRun | undefined;
  /** It waits for a response, not for the filter. */
  isUnlimited = false;

  constructor(requests: RequestFollower, filter: HttpBodyHooks, session: FilterSession) {
    this.#requests = requests;
    this.#filter = filter;
    this.#session = session;
  }

  push(chunk: Buffer): void {
    this.#scanner.feed(chunk);
  }

  next(): Awaitable<Pieces | undefined> {
    if (this.#requests.isTunnel) return this.#rest();
    if (this.#run) return this.#body(this.#run);
    if (this.#scanner.isIdle && this.#requests.isTurning) return this.#hold();
    const body = this.#scanner.skipBody();
    if (body) return asBuffer(body);
    const part = this.#scanner.next();
    if (!part) return undefined;
    switch (part.kind) {
      case "end":
        return NOTHING;
      case "head":
        return this.#head(part.head, part.bytes);
      case "malformed":
        throw new GatewayError("RC_HTTP", part.reason);
      default:
        return asBuffer(part.bytes);
    }
  }

  end(): undefined {}

  #rest(): Pieces | undefined {
    const { rest } = this.#scanner;
    this.#scanner.feed(NO_BYTES);
    return rest.length > 0 ? asBuffer(rest) : undefined;
  }

  #hold(): Awaitable<Pieces> {
    this.isUnlimited = true;
    return new Promise((resolve) => {
      this.#requests.onReady = () => {
        this.isUnlimited = false;
        resolve(NOTHING);
      };
    });
  }

  #body(run: BodyRun): Awaitable<Pieces | undefined> {
    const part = this.#scanner.next();
    if (part?.kind === "malformed") throw new GatewayError("RC_HTTP", part.reason);
    if (!part || part.kind === "head" || part.kind === "gap") return undefined;
    if (part.kind === "end") this.#run = undefined;
    return run.take(part);
  }

  #head(head: RequestHead, bytes: Uint8Array): Awaitable<Pieces> {
    const framing = requestFraming(head);
    if (framing.kind === "malformed") throw new GatewayError("RC_HTTP", framing.reason);
    this.#scanner.body(framing);
    if (framing.kind === "none") return asBuffer(bytes);
    const message: HttpMessage = { request: requestOf(head) };
    const wanted = this.#filter.begin?.(message, this.#session);
    const begin = (isWanted: unknown): Pieces => {
      if (isWanted === false) return asBuffer(bytes);
      if (head.version === "1.0") throw new GatewayError("RC_HTTP", "HTTP/1.0, whose bodies cannot be framed anew");
      this.#run = new BodyRun(this.#filter, this.#session, message, "chunked");
      return framing.kind === "chunked" ? asBuffer(bytes) : inChunks(head, bytes);
    };
    return isPending(wanted) ? wanted.then(begin) : begin(wanted);
  }
}

function inChunks(head: RequestHead, bytes: Uint8Array): Buffer {
  const headers = new Headers(head.headers);
  headers.reframe("chunked");
  return editedHead(bytes, headers);
}
