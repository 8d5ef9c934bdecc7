import { goAway } from "../refusal/http2.ts";
import type { Goodbye } from "./goodbye.ts";

const NO_ERROR = 0;

/** Nobody here knows which streams the peer has begun: all of them may have been served, and none may be tried again unasked. */
const ANY_STREAM = 2 ** 31 - 1;

/** GOAWAY (RFC 9113 §6.8). Undefined before the peer's first frame, which must be SETTINGS (§3.4). */
export function goodbyeHttp2({ bytesSent }: Goodbye): Uint8Array | undefined {
  return bytesSent === 0 ? undefined : goAway(ANY_STREAM, NO_ERROR);
}
