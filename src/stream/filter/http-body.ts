import type { HttpResponse } from "../../codecs/http/response-editor.ts";
import type { Awaitable, FilterSession } from "../session.ts";
import type { Filtered } from "./body-filter.ts";
import type { HttpRequest } from "./header-tools.ts";

/** The message that a piece of a body belongs to. */
export interface HttpMessage {
  readonly request: HttpRequest;
  /** Of a response. In `begin` its head may still be edited, as in `phases.headerFilter`. */
  readonly response?: HttpResponse | undefined;
}

/** Called with each piece of a body as it comes, free of chunks. What it returns goes out in its place, as for a raw filter. */
export type HttpBodyPiece = (piece: Buffer, session: FilterSession, message: HttpMessage) => Awaitable<Filtered>;

export interface HttpBodyOptions {
  /** Called before a head leaves that has a body behind it; with `false` this message passes untouched. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a filter may end without return
  readonly begin?: (message: HttpMessage, session: FilterSession) => Awaitable<boolean | undefined | void>;
  /** Called when a body has come to its end, not when it was cut short; returns last bytes of it. */
  readonly end?: (message: HttpMessage, session: FilterSession) => Awaitable<Filtered>;
}

/** What a filter of HTTP bodies calls. */
export interface HttpBodyHooks extends HttpBodyOptions {
  readonly piece: HttpBodyPiece;
}

/** A filter of HTTP bodies, as {@link httpBody} makes it. */
export interface HttpBodyFilter {
  readonly kind: "httpBody";
  readonly hooks: HttpBodyHooks;
}

/**
 * A filter of the bodies of HTTP/1 messages for `phases.bodyFilter`: responses in `upstream`, requests in `client`. It sees
 * what is inside of chunks and lengths, and the message is framed anew: in chunks, or until the connection closes where one side
 * speaks HTTP/1.0. Sessions of other protocols, upgrades and tunnels pass untouched. Ends the session with RC_HTTP and RC_PEER_HTTP,
 * as a header filter does, and with RC_HTTP at a request of HTTP/1.0 that it would change, which cannot be framed anew.
 * @throws TypeError on arguments that are none
 */
export function httpBody(piece: HttpBodyPiece, options: HttpBodyOptions = {}): HttpBodyFilter {
  for (const [name, value] of Object.entries({ piece, begin: () => {}, end: () => {}, ...options }))
    if (value !== undefined && typeof value !== "function") throw new TypeError(`httpBody: ${name} is no function`);
  return { kind: "httpBody", hooks: { ...options, piece } };
}
