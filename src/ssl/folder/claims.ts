import type { Certificate } from "../certificate.ts";
import type { Claim } from "../store.ts";
import type { Loaded } from "./pairs.ts";

const DEFAULT_NAME = "default";

interface Owner {
  readonly file: string;
  readonly certificate: Certificate;
}

/**
 * Which certificate of a folder answers for which name. Where several have a name, the pair that is called so wins, then
 * one that is valid now, then the one that is valid longest. Last comes the mere name of a file.
 */
export function folderClaims(
  pairs: Iterable<Loaded>,
  now = Date.now(),
): { claims: Claim[]; fallback: Certificate | undefined } {
  const owners = [...pairs].flatMap(({ name, certificate }) => (certificate ? [{ file: name, certificate }] : []));
  owners.sort(
    (one, other) => rank(one, now) - rank(other, now) || other.certificate.notAfter - one.certificate.notAfter,
  );
  const named = owners.filter(({ file }) => file !== DEFAULT_NAME);
  return {
    claims: [
      ...named.filter(({ file, certificate }) => certificate.names.includes(file.toLowerCase())).map(byFile),
      ...owners.flatMap(({ certificate }) => certificate.names.map((name): Claim => [name, certificate])),
      ...named.map(byFile),
    ],
    fallback: owners.find(({ file }) => file === DEFAULT_NAME)?.certificate,
  };
}

function rank({ certificate: { notBefore, notAfter } }: Owner, now: number): number {
  return notBefore <= now && now <= notAfter ? 0 : 1;
}

function byFile({ file, certificate }: Owner): Claim {
  return [file, certificate];
}
