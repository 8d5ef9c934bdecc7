import { generate } from "selfsigned";

/** PEM of a certificate made for a test. */
export interface Made {
  readonly cert: string;
  readonly key: string;
}

interface Wish {
  /** DNS names in the SAN; none: a certificate without SAN. */
  readonly names?: readonly string[];
  readonly commonName?: string;
  /** Who signs; absent: itself. */
  readonly by?: Made;
  readonly validFrom?: number;
  readonly validTo?: number;
  readonly isCa?: boolean;
}

const HOUR_MS = 3_600_000;

/** Makes a certificate for the names given, self-signed unless the wish says otherwise. */
export async function made({ names = [], commonName = names[0] ?? "test", ...wish }: Wish): Promise<Made> {
  const now = Date.now();
  const { validFrom = now - HOUR_MS, validTo = now + 24 * HOUR_MS, by, isCa = false } = wish;
  const result = await generate([{ name: "commonName", value: commonName }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate: new Date(validFrom),
    notAfterDate: new Date(validTo),
    ...(by ? { ca: by } : {}),
    extensions: [
      { name: "basicConstraints", cA: isCa, critical: true },
      { name: "keyUsage", digitalSignature: true, keyCertSign: isCa, cRLSign: isCa, critical: true },
      ...(names.length > 0
        ? [{ name: "subjectAltName" as const, altNames: names.map((value) => ({ type: 2 as const, value })) }]
        : []),
    ],
  });
  return { cert: `${result.cert}\n`, key: result.private };
}

/** A certificate that signs others. */
export function authority(commonName: string): Promise<Made> {
  return made({ commonName, isCa: true });
}

/** A certificate whose last day is over. */
export function ended(wish: Wish): Promise<Made> {
  const now = Date.now();
  return made({ ...wish, validFrom: now - 48 * HOUR_MS, validTo: now - HOUR_MS });
}
