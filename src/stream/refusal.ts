import { refuseUnknown } from "../codecs/refusal/text.ts";
import { refuseTls } from "../codecs/refusal/tls.ts";
import { phraseOf, reasonOf } from "../codecs/refusal/words.ts";
import { type ErrorCode, GatewayError, type Refusal } from "../errors.ts";
import type { RejectAction } from "./action.ts";
import type { Connection } from "./connection.ts";

/**
 * Whom nothing is told: a balancer in front of us that sends no PROXY header, a client in a TLS handshake (OpenSSL or an alert
 * has told it), one that is gone, that says too little, whose address is banned, or that a hook sent away without a word.
 */
const UNTOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "RC_BANNED",
  "RC_PROXY_HEADER",
  "RC_PROXY_HEADER_TIMEOUT",
  "RC_TLS_HELLO",
  "RC_TLS_NO_CERTIFICATE",
  "RC_TLS_STORE",
  "RC_TLS_HANDSHAKE",
  "RC_TLS_CLIENT_CERTIFICATE",
  "RC_TLS_HANDSHAKE_TIMEOUT",
  "RC_PREREAD_TIMEOUT",
  "RC_CLIENT_CLOSED",
  "RC_CLIENT_RESET",
  "RC_IDLE_TIMEOUT",
  "RC_EXITED",
  "RC_SHUTDOWN",
]);

/** Where a client is told more exactly than the log's status, which follows nginx's stream servers. */
const TOLD: Partial<Record<ErrorCode, number>> = {
  RC_FRAME_TOO_LARGE: 413,
  RC_NO_SOCKET: 503,
  RC_PEER_CONNECT_TIMEOUT: 504,
};

type Words = Uint8Array | readonly Uint8Array[];

/** Where a standard phrase would not help, and these words give nothing away. */
const REASONS: Partial<Record<ErrorCode, string>> = {
  RC_TLS_PLAIN: "this port takes TLS only",
};

/** What a `reject()` ends the session with. */
export function rejected({ reason, status, retryAfterMs, redirect }: RejectAction): GatewayError {
  return new GatewayError("RC_REJECTED", reason, { status, refusal: { status, reason, retryAfterMs, redirect } });
}

/**
 * What a client should still read when its session ends with `error`, in its own protocol: by the sniffer that matched. Empty:
 * nothing, as the session has written or relayed something already, or there are no words for it. Nothing but what `reject()`
 * says, and phrases from here, is ever shown: the text of an error may tell of upstreams, files and code.
 */
export function lastWordsFor(session: Connection, error: GatewayError): readonly Uint8Array[] {
  const refusal = session.client.isSpokenTo ? undefined : refusalOf(error);
  const words = refusal && inItsWords(session, refusal);
  return words instanceof Uint8Array ? [words] : (words ?? NONE);
}

const NONE: readonly Uint8Array[] = [];

function refusalOf({ code, status: logged, refusal }: GatewayError): Refusal | undefined {
  if (!refusal && UNTOLD.has(code)) return undefined;
  const status = refusal?.status ?? TOLD[code] ?? logged;
  const reason = refusal?.reason ?? REASONS[code] ?? phraseOf(status);
  return { ...refusal, status, reason: reasonOf({ status, reason }) }; // one line, for sniffers of users as well
}

function inItsWords(session: Connection, refusal: Refusal): Words | undefined {
  const { sniffer, info, ssl, client } = session;
  if (sniffer?.refuse) return checked(session, () => sniffer.refuse?.(refusal, info));
  return ssl && !ssl.protocol ? refuseTls(refusal) : refuseUnknown(refusal, client.head.bytes);
}

/** A sniffer may be anybody's. */
function checked({ settings, id, protocol }: Connection, refuse: () => Words | undefined): Words | undefined {
  try {
    const words = refuse();
    const pieces: unknown = words ?? NONE;
    if ([pieces].flat().every((piece) => piece instanceof Uint8Array)) return words;
    throw new TypeError(`returned no bytes but ${typeof words}`);
  } catch (cause) {
    settings.log.error("refuse failed", { session: id, protocol, err: cause });
    return undefined;
  }
}
