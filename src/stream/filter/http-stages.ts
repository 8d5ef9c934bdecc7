import { asBuffer } from "../../codecs/as-buffer.ts";
import { RequestFollower } from "../../codecs/http/request-follower.ts";
import type { RequestHead } from "../../codecs/http/request-head.ts";
import { ResponseEditor } from "../../codecs/http/response-editor.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable } from "../session.ts";
import { bytesOf } from "./bytes-of.ts";
import { type HeaderFilter, type HeaderFilterHost, type HttpTools, requestOf, runFilter } from "./header-tools.ts";
import { RequestTap, type ResponseSeen, ResponseTap } from "./http-taps.ts";
import type { Pieces, Stages } from "./stage.ts";

/** The stages that run a header filter once per response of an HTTP/1 session, whatever is kept alive, pipelined or upgraded. */
export function httpStages(filter: HeaderFilter, session: HeaderFilterHost): Stages {
  const requests = new RequestFollower();
  const onHead = (head: ResponseSeen): Awaitable<Pieces> => filtered(head, filter, session);
  return { up: [new RequestTap(requests)], down: [new ResponseTap(requests, onHead)] };
}

function filtered(
  { bytes, request, response }: ResponseSeen,
  filter: HeaderFilter,
  session: HeaderFilterHost,
): Awaitable<Pieces> {
  const head = new HeadTools(request, new ResponseEditor(response, bytes));
  const running = runFilter(filter, session, head.tools);
  return isPending(running) ? running.then(() => head.leave()) : head.leave();
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
