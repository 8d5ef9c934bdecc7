import { createHash } from "node:crypto";
import { Certificate, type Pem } from "./certificate.ts";
import { Recent } from "./recent.ts";

/**
 * Makes certificates of PEM that hooks and foreign stores hand over, the same one for equal PEM: reading a key and preparing
 * OpenSSL's context cost a millisecond or two, which no handshake should pay twice. Keeps `max` of them.
 */
export function certificateMemo(max: number): (given: Pem | Certificate) => Certificate {
  const known = new Recent<Certificate>(max);
  return (given) => {
    if (given instanceof Certificate) return given;
    const digest = digestOf(given);
    const made = known.get(digest) ?? new Certificate(given);
    known.set(digest, made);
    return made;
  };
}

function digestOf({ cert, key, ca = "" }: Pem): string {
  const hash = createHash("sha256");
  for (const part of [cert, key, ca]) hash.update(createHash("sha256").update(part).digest());
  return hash.digest("base64url");
}
