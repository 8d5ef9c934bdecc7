import { asBuffer } from "../../codecs/as-buffer.ts";
import { isKeptAlive } from "../../codecs/http/framing.ts";
import type { RequestFollower } from "../../codecs/http/request-follower.ts";
import { ResponseEditor } from "../../codecs/http/response-editor.ts";
import { ResponseFollower } from "../../codecs/http/response-follower.ts";
import { GatewayError } from "../../errors.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import { BodyRun } from "./body-run.ts";
import { requestOf } from "./header-tools.ts";
import type { HttpBodyHooks, HttpMessage } from "./http-body.ts";
import type { ResponseSeen } from "./http-taps.ts";
import type { Pieces, Stage } from "./stage.ts";

/** Filters the bodies of responses. Somebody in front of the peer must follow the requests. */
export class ResponseBodyStage implements Stage {
  readonly #responses: ResponseFollower;
  readonly #requests: RequestFollower;
  readonly #filter: HttpBodyHooks;
  readonly #session: FilterSession;
  /** The body that is filtered. */
  #run: BodyRun | undefined;
  /** How the client knows the end of the body; `peer`: as the gateway does, by the end of the peer's bytes. */
  #ends: "framed" | "here" | "peer" = "framed";

  constructor(requests: RequestFollower, filter: HttpBodyHooks, session: FilterSession) {
    this.#requests = requests;
    this.#responses = new ResponseFollower(requests);
    this.#filter = filter;
    this.#session = session;
  }

  push(chunk: Buffer): void {
    this.#responses.feed(chunk);
  }

  next(): Awaitable<Pieces | undefined> {
    if (this.#run) return this.#body(this.#run);
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

  end(isCut: boolean): Awaitable<Pieces | undefined> {
    const fault = isCut ? undefined : this.#responses.atEnd();
    if (fault !== undefined) throw new GatewayError("RC_PEER_HTTP", fault);
    this.#requests.stop();
    return isCut || this.#ends !== "peer" ? undefined : this.#run?.close();
  }

  #body(run: BodyRun): Awaitable<Pieces | undefined> {
    const part = this.#responses.nextOfBody();
    if (!part) return undefined;
    if (part.kind === "malformed") throw new GatewayError("RC_PEER_HTTP", part.reason);
    const taken = run.take(part);
    if (part.kind !== "end") return taken;
    this.#run = undefined;
    if (this.#ends !== "here") return taken;
    return isPending(taken) ? taken.then((pieces) => this.#close(pieces)) : this.#close(taken);
  }

  /** Ends the session, where the peer would keep it. */
  #close(pieces: Pieces): Pieces {
    this.#session.end();
    return pieces;
  }

  #head(head: ResponseSeen): Awaitable<Pieces> {
    const { bytes, framing, request, response } = head;
    if (framing.kind === "none" || framing.kind === "tunnel") return asBuffer(bytes);
    const editor = new ResponseEditor(response, bytes);
    const message: HttpMessage = { request: requestOf(request), response: editor };
    const wanted = this.#filter.begin?.(message, this.#session);
    const begin = (isWanted: unknown): Pieces => {
      if (isWanted !== false) this.#run = this.#begin(head, editor, message);
      return asBuffer(editor.encode());
    };
    return isPending(wanted) ? wanted.then(begin) : begin(wanted);
  }

  /** RFC 9112 §6.1, §6.3: chunks where both sides know them, otherwise the end of the connection tells that of the body. */
  #begin({ framing, request, response }: ResponseSeen, editor: ResponseEditor, message: HttpMessage): BodyRun {
    const knowsChunks = request.version !== "1.0" && response.version !== "1.0";
    const as = framing.kind === "close" || !knowsChunks ? "close" : "chunked";
    if (framing.kind === "length" || (framing.kind === "chunked" && as === "close")) editor.headers.reframe(as);
    this.#ends = "framed";
    if (framing.kind === "close") this.#ends = "peer";
    else if (as === "close" && isKeptAlive(response)) this.#ends = "here";
    return new BodyRun(this.#filter, this.#session, message, as);
  }
}
