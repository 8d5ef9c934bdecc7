import type { Goodbye } from "../../codecs/goodbye/goodbye.ts";
import type { Sniffer } from "../../preread/sniffer.ts";
import type { Server } from "../server.ts";

/** A session as far as its last words depend on it. */
export interface Speaking {
  readonly id: string;
  readonly protocol: string | undefined;
  readonly info: unknown;
  readonly sniffer: Sniffer | undefined;
  readonly settings: Pick<Server, "log">;
  readonly bytesSent: number;
}

/** What a client reads last whose session is ended in good order, in its own protocol: by the sniffer that matched. Undefined: nothing. */
export function lastWordsOf(session: Speaking, why: Goodbye["why"]): Uint8Array | undefined {
  const { sniffer, info, bytesSent, settings, id, protocol } = session;
  try {
    const words: unknown = sniffer?.goodbye?.({ why, bytesSent }, info);
    if (words === undefined || words instanceof Uint8Array) return words?.length === 0 ? undefined : words;
    throw new TypeError(`returned no bytes but ${typeof words}`);
  } catch (cause) {
    settings.log.error("goodbye failed", { session: id, protocol, err: cause }); // a sniffer may be anybody's
    return undefined;
  }
}
