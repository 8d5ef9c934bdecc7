import { Headers, type HeaderView } from "../../codecs/http/headers.ts";
import type { RequestHead } from "../../codecs/http/request-head.ts";
import type { HttpResponse } from "../../codecs/http/response-editor.ts";
import { isPending } from "../hooks.ts";
import type { Awaitable, HeaderFilterSession, Phase } from "../session.ts";

/** The request that a response answers, in `phases.headerFilter`: to be looked at, it is with the peer already. */
export interface HttpRequest {
  readonly method: string;
  /** As the client sent it: `/a?b`, `http://host/a`, `host:443` of a CONNECT, or `*`. */
  readonly target: string;
  /** `"1.0"` or `"1.1"`. */
  readonly version: string;
  readonly headers: HeaderView;
}

interface Prefaces {
  /**
   * Sends bytes to the client, in front of all that the peer sends; for HTTP in front of this response. Text is UTF-8.
   * @throws TypeError once the hook is done
   */
  toClient(bytes: string | Uint8Array): void;
  /**
   * Sends bytes to the peer, behind a PROXY header and in front of all that the client sends. Text is UTF-8.
   * @throws TypeError once the hook is done; for HTTP always: the request is with the peer
   */
  toUpstream(bytes: string | Uint8Array): void;
}

/** What a header filter works with where the protocol is not HTTP/1. */
export interface PrefaceTools extends Prefaces {
  readonly request?: undefined;
  readonly response?: undefined;
}

/** What a header filter works with for each response of an HTTP/1 session. */
export interface HttpTools extends Prefaces {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
}

/** See `phases.headerFilter`. */
export type HeaderFilter = (session: HeaderFilterSession, tools: PrefaceTools | HttpTools) => unknown;

/** A session as its header filter needs it. */
export interface HeaderFilterHost extends HeaderFilterSession {
  phase: Phase;
  /** Runs user code as a phase. Throws, or rejects with, what ends the session because of it. */
  hook<Result>(phase: Phase, work: () => Awaitable<Result>): Awaitable<Result | undefined>;
}

/** Runs a header filter; then the session is in the phase again that it was in. */
export function runFilter(
  filter: HeaderFilter,
  session: HeaderFilterHost,
  tools: PrefaceTools | HttpTools,
): Awaitable<void> {
  const { phase } = session;
  const running = session.hook("headerFilter", () => filter(session, tools));
  const leave = (): void => {
    if (session.phase === "headerFilter") session.phase = phase; // not where it failed: that is for the log
  };
  if (isPending(running)) return running.then(leave);
  return leave();
}

/** A request to be looked at. Most filters look at a header or two of the request, or at none. */
export function requestOf({ method, target, version, headers: fields }: RequestHead): HttpRequest {
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
