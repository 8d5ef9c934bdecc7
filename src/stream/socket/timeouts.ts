/** How long operations of an outgoing socket may take. OpenResty: `settimeouts`. */
export interface Timeouts {
  /** For a connect, the wait for a place in its pool included; and for a TLS handshake. Default 60,000. */
  readonly connectMs?: number | undefined;
  /** How long no byte may leave while something is sent. Default 60,000. */
  readonly sendMs?: number | undefined;
  /** How long a read may wait for the next byte. Default 60,000. */
  readonly readMs?: number | undefined;
}

/** {@link Timeouts} with nothing left open. */
export type Times = { readonly [Name in keyof Timeouts]-?: number };

const DEFAULT_MS = 60_000; // OpenResty: lua_socket_connect_timeout, lua_socket_send_timeout, lua_socket_read_timeout
const MAX_TIMEOUT_MS = 2 ** 31; // the first that OpenResty refuses, and that Node's timers cannot keep

/**
 * All three times; what is 0 or not given is the default, and never infinite.
 * @throws TypeError `bad timeout value: …`
 */
export function timesOf({ connectMs, sendMs, readMs }: Timeouts): Times {
  return { connectMs: timeoutOf(connectMs), sendMs: timeoutOf(sendMs), readMs: timeoutOf(readMs) };
}

/** One time. @throws TypeError `bad timeout value: …` when it is negative, 2^31 or more, or no number */
export function timeoutOf(ms: number | undefined, ifNone: number = DEFAULT_MS): number {
  if (ms === undefined) return ifNone;
  if (typeof ms !== "number" || !(ms >= 0 && ms < MAX_TIMEOUT_MS)) throw new TypeError(`bad timeout value: ${ms}`);
  return ms === 0 ? ifNone : ms;
}
