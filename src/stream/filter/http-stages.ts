import { asBuffer } from "../../codecs/as-buffer.ts";
import { Headers } from "../../codecs/http/headers.ts";
import { RequestFollower } from "../../codecs/http/request-follower.ts";
import type { RequestHead } from "../../codecs/http/request-head.ts";
import { ResponseEditor } from "../../codecs/http/response-editor.ts";
import { ResponseFollower, type ResponsePart } from "../../codecs/http/response-follower.ts";
import { GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable } from "../session.ts";
import { bytesOf } from "./bytes-of.ts";
import {
  type HeaderFilter,
  type HeaderFilterHost,
  type HttpRequest,
  type HttpTools,
  runFilter,
} from "./header-tools.ts";
import type { Pieces, Stage, Stages } from "./stage.ts";

const NOTHING: readonly Buffer[] = [];

type Head = Extract<ResponsePart, { kind: "head" }>;

/** The stages that run a header filter once per response of an HTTP/1 session, whatever is kept alive, pipelined or upgraded. */
export function httpStages(filter: HeaderFilter, session: HeaderFilterHost): Stages {
  const requests = new RequestFollower();
  return { up: [new RequestStage(requests)], down: [new ResponseStage(requests, filter, session)] };
}

/** Follows requests without a change. Holds bytes back where only a response tells what they are. */
export class RequestStage implements Stage {
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

/** Hands each response's head to the filter; all else passes as it came. */
class ResponseStage implements Stage {
  /** The hook's own limit holds. */
  readonly isUnlimited = true;
  readonly #requests: RequestFollower;
  readonly #responses: ResponseFollower;
  readonly #filter: HeaderFilter;
  readonly #session: HeaderFilterHost;

  constructor(requests: RequestFollower, filter: HeaderFilter, session: HeaderFilterHost) {
    this.#requests = requests;
    this.#responses = new ResponseFollower(requests);
    this.#filter = filter;
    this.#session = session;
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
        return this.#head(part);
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

  #head({ bytes, request, response }: Head): Awaitable<Pieces> {
    const editor = new ResponseEditor(response, bytes);
    const head = new HeadTools(request, editor);
    const running = runFilter(this.#filter, this.#session, head.tools);
    return isPending(running) ? running.then(() => head.leave()) : head.leave();
  }
}

/** What the filter is handed for one response. */
class HeadTools {
  readonly tools: HttpTools;
  readonly #response: ResponseEditor;
  readonly #before: Buffer[] = [];
  #hasLeft = false;

  constructor(request: RequestHead, response: ResponseEditor) {
    this.#response = response;
    this.tools = {
      request: requestOf(request),
      response,
      toClient: (bytes) => this.#toClient(bytes),
      toUpstream: () => {
        throw new TypeError("toUpstream: not for HTTP, where the request is with the peer already");
      },
    };
  }

  /** What goes to the client. */
  leave(): Pieces {
    this.#hasLeft = true;
    const head = asBuffer(this.#response.encode());
    return this.#before.length > 0 ? [...this.#before, head] : head;
  }

  #toClient(bytes: string | Uint8Array): void {
    if (this.#hasLeft) throw new TypeError("toClient: this response has left already");
    this.#before.push(bytesOf(bytes));
  }
}

/** Most filters look at a header or two of the request, or at none. */
function requestOf({ method, target, version, headers: fields }: RequestHead): HttpRequest {
  let headers: Headers | undefined;
  return {
    method,
    target,
    version,
    get headers() {
      headers ??= new Headers(fields);
      return headers;
    },
  };
}
