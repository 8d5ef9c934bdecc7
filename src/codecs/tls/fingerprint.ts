import { createHash } from "node:crypto";

/** What fingerprints are made of: the hello as it came, without GREASE. */
export interface FingerprintInput {
  readonly legacyVersion: number;
  /** The values of `supported_versions`; undefined when the extension is absent. */
  readonly supportedVersions: readonly number[] | undefined;
  readonly ciphers: readonly number[];
  readonly extensions: readonly number[];
  readonly groups: readonly number[];
  readonly pointFormats: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  /** The first protocol of ALPN, one character per byte. */
  readonly firstAlpn: string | undefined;
}

const SERVER_NAME = 0;
const ALPN = 16;
const MAX_COUNT = 99; // JA4 has two digits for a count
const HASH_DIGITS = 12;
const NOTHING = "0".repeat(HASH_DIGITS);
const JA4_VERSIONS = new Map([
  [0x0304, "13"],
  [0x0303, "12"],
  [0x0302, "11"],
  [0x0301, "10"],
  [0x0300, "s3"],
]);

/** Groups clients by their TLS library: MD5 over version, ciphers, extensions, groups and point formats in the client's order. */
export function ja3(hello: FingerprintInput): string {
  const { legacyVersion, ciphers, extensions, groups, pointFormats } = hello;
  const text = [[legacyVersion], ciphers, extensions, groups, pointFormats].map((list) => list.join("-")).join(",");
  return createHash("md5").update(text).digest("hex");
}

/** Groups clients as {@link ja3}, but the same for any order of ciphers and extensions: browsers shuffle them. */
export function ja4(hello: FingerprintInput): string {
  const { ciphers, extensions, signatureAlgorithms } = hello;
  const sorted = hexList(inOrder(extensions.filter((type) => type !== SERVER_NAME && type !== ALPN)));
  const signatures = hexList(signatureAlgorithms);
  return [
    ja4Head(hello),
    shortHash(hexList(inOrder(ciphers))),
    sorted === "" ? NOTHING : shortHash(signatures === "" ? sorted : `${sorted}_${signatures}`),
  ].join("_");
}

function ja4Head({ legacyVersion, supportedVersions, ciphers, extensions, firstAlpn }: FingerprintInput): string {
  const version = JA4_VERSIONS.get(supportedVersions ? Math.max(...supportedVersions) : legacyVersion) ?? "00";
  const name = extensions.includes(SERVER_NAME) ? "d" : "i";
  return `t${version}${name}${count(ciphers)}${count(extensions)}${alpnEnds(firstAlpn)}`;
}

/** First and last character of the protocol, or of its hex form when one of them is neither letter nor digit. */
function alpnEnds(protocol: string | undefined): string {
  if (!protocol) return "00";
  const plain = /^[0-9A-Za-z](?:.*[0-9A-Za-z])?$/s.test(protocol);
  const text = plain ? protocol : Buffer.from(protocol, "latin1").toString("hex");
  return text.slice(0, 1) + text.slice(-1);
}

function count(values: readonly number[]): string {
  return String(Math.min(values.length, MAX_COUNT)).padStart(2, "0");
}

function inOrder(values: readonly number[]): readonly number[] {
  return values.toSorted((left, right) => left - right);
}

function hexList(values: readonly number[]): string {
  return values.map((value) => value.toString(16).padStart(4, "0")).join(",");
}

function shortHash(text: string): string {
  return text === "" ? NOTHING : createHash("sha256").update(text).digest("hex").slice(0, HASH_DIGITS);
}
