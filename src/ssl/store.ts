import { messageOf } from "../errors.ts";
import { type Certificate, certificate, type Pem } from "./certificate.ts";
import { normalName, normalPattern, wildcardFor } from "./names.ts";

/** Chooses the certificate for the name that a client asks for; undefined for a client that names none (no SNI). */
export interface CertStore {
  /** Undefined when there is no certificate for this name, not even a default one: the handshake is refused. */
  find(serverName: string | undefined): Promise<Certificate | undefined>;
}

/** A store as users may write it: PEM is welcome, and an answer need not be a promise. Every {@link CertStore} is one. */
export interface CertSource {
  find(
    serverName: string | undefined,
  ): Certificate | Pem | undefined | null | Promise<Certificate | Pem | undefined | null>;
}

/** A name, maybe with a wildcard, and the certificate that answers for it. */
export type Claim = readonly [name: string, certificate: Certificate];

/** Looks a name up in memory. */
export type NameIndex = (serverName: string | undefined) => Certificate | undefined;

/**
 * Answers by exact name, then by a wildcard of one label (RFC 9525 §6.3), then with the fallback.
 * Of two claims to one name the first wins.
 */
export function nameIndex(claims: Iterable<Claim>, fallback: Certificate | undefined): NameIndex {
  const known = new Map<string, Certificate>();
  for (const [claimed, owner] of claims) {
    const name = normalPattern(claimed);
    if (name !== undefined && !known.has(name)) known.set(name, owner);
  }
  return (serverName) => {
    const name = serverName === undefined ? undefined : normalName(serverName);
    if (name === undefined) return fallback;
    return known.get(name) ?? known.get(wildcardFor(name) ?? name) ?? fallback;
  };
}

/**
 * A fixed list of certificates, each for the names in it. Unknown names and clients without a name get `default`,
 * which is the first of the list unless it says otherwise (nginx's default server); `false`: they are refused.
 * Throws a TypeError that says which certificate of the list is wrong, and why.
 */
export function certList(
  list: readonly (Pem | Certificate)[],
  options: { readonly default?: Pem | Certificate | false } = {},
): CertStore {
  const certificates = list.map((given, place) => checked(given, `certificate ${place + 1} of the list`));
  const [first] = certificates;
  if (first === undefined) throw new TypeError("the list of certificates is empty");
  const { default: fallback = first } = options;
  const claims = certificates.flatMap((owner) => owner.names.map((name): Claim => [name, owner]));
  const lookUp = nameIndex(claims, fallback === false ? undefined : checked(fallback, "the default certificate"));
  return Object.freeze({ find: async (serverName: string | undefined) => lookUp(serverName) });
}

function checked(given: Pem | Certificate, which: string): Certificate {
  try {
    return certificate(given);
  } catch (cause) {
    throw new TypeError(`${which}: ${messageOf(cause)}`, { cause });
  }
}
