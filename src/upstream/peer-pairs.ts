import { createHash } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { messageOf } from "../errors.ts";

/** A certificate and its key to show a peer, in PEM. The certificate may bring its chain along. */
export interface PeerPair {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

/** Pairs of hooks that are kept prepared per upstream, some 50 KB each: making a context costs a millisecond. */
const MAX_PAIRS = 100;

/**
 * OpenSSL's contexts for pairs that hooks hand over, one for equal pairs. Throws a TypeError for a pair that is none.
 */
export function pairContexts(ca: string | undefined): (pair: PeerPair) => SecureContext {
  const made = new Map<string, SecureContext>();
  return (pair) => {
    const key = keyOf(pair);
    const context = made.get(key) ?? contextOf(pair, ca);
    made.delete(key); // a Map keeps the order of insertion: last used, last in line
    made.set(key, context);
    for (const oldest of made.keys()) {
      if (made.size <= MAX_PAIRS) break;
      made.delete(oldest);
    }
    return context;
  };
}

function keyOf({ cert, key }: PeerPair): string {
  const hash = createHash("sha256");
  for (const [name, part] of Object.entries({ cert, key })) {
    if (!isPem(part)) throw new TypeError(`${name}: PEM text or bytes expected`);
    hash.update(createHash("sha256").update(part).digest());
  }
  return hash.digest("base64url");
}

function isPem(part: unknown): part is string | Uint8Array {
  return typeof part === "string" || part instanceof Uint8Array;
}

function contextOf({ cert, key }: PeerPair, ca: string | undefined): SecureContext {
  try {
    return createSecureContext({ cert: Buffer.from(cert), key: Buffer.from(key), ca });
  } catch (cause) {
    throw new TypeError(messageOf(cause), { cause });
  }
}
