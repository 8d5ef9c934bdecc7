import { createHash } from "node:crypto";
import { lstat, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { Certificate } from "../certificate.ts";

const MAX_FILE_BYTES = 1_048_576; // the longest chains have some 20 KB; a log or a database under this name is a mistake
const MISSING = "is missing";

/** One side of a pair as it is on disk. */
type Side = { readonly kind: "bytes"; readonly bytes: Buffer } | { readonly kind: "fault"; readonly fault: string };

/** `name.crt` and `name.key` as they were read, whatever is in them. */
export interface Pair {
  readonly name: string;
  /** Of both contents: equal digests are equal pairs. */
  readonly digest: string;
  readonly cert: Side;
  readonly key: Side;
}

/** What has become of a pair: its certificate, which may be an older one when there is a fault. */
export interface Loaded {
  readonly name: string;
  readonly digest: string;
  readonly certificate: Certificate | undefined;
  /** Which file is wrong, and why. */
  readonly fault: string | undefined;
}

/** The name of the pair that a file belongs to; undefined for all other files, hidden ones too. */
export function pairOf(file: string): string | undefined {
  return /^([^.].*)\.(?:crt|key)$/s.exec(file)?.[1];
}

/** Reads every pair of a folder. Rejects when the folder cannot be listed; a file that cannot be read is a fault of its pair. */
export async function readPairs(folder: string): Promise<readonly Pair[]> {
  const names = new Set((await readdir(folder)).map(pairOf).filter((name) => name !== undefined));
  const pairs: Pair[] = [];
  for (const name of [...names].sort()) pairs.push(await readPair(folder, name));
  return pairs.filter(({ cert, key }) => !(isMissing(cert) && isMissing(key))); // went away since the listing
}

/** Makes certificates of pairs. What did not change stays the same object, and a pair that broke keeps what it had. */
export function loadPairs(pairs: readonly Pair[], before: ReadonlyMap<string, Loaded>): ReadonlyMap<string, Loaded> {
  return new Map(pairs.map((pair) => [pair.name, load(pair, before.get(pair.name))]));
}

async function readPair(folder: string, name: string): Promise<Pair> {
  const cert = await readSide(join(folder, `${name}.crt`));
  const key = await readSide(join(folder, `${name}.key`));
  return { name, digest: `${digestOf(cert)} ${digestOf(key)}`, cert, key };
}

function digestOf(side: Side): string {
  return side.kind === "bytes" ? createHash("sha256").update(side.bytes).digest("base64url") : side.fault;
}

async function readSide(path: string): Promise<Side> {
  try {
    const found = await stat(path);
    if (!found.isFile()) return { kind: "fault", fault: "is not a file" }; // opening a pipe would wait for its writer
    if (found.size > MAX_FILE_BYTES) return { kind: "fault", fault: `is larger than ${MAX_FILE_BYTES} bytes` };
    return { kind: "bytes", bytes: await readFile(path) };
  } catch (cause) {
    if (errnoOf(cause) !== "ENOENT") return { kind: "fault", fault: `cannot be read (${errnoOf(cause)})` };
    return { kind: "fault", fault: (await isLink(path)) ? "is a link that leads nowhere" : MISSING };
  }
}

/** A link whose target is late is a broken pair; a file that is not there may mean that its pair was taken away. */
async function isLink(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isSymbolicLink() ?? false;
}

function isMissing(side: Side): boolean {
  return side.kind === "fault" && side.fault === MISSING;
}

function load(pair: Pair, before: Loaded | undefined): Loaded {
  const { name, digest, cert, key } = pair;
  if (before?.digest === digest) return before;
  const broken = (fault: string): Loaded => ({ name, digest, certificate: before?.certificate, fault });
  if (cert.kind === "fault") return broken(`${name}.crt ${cert.fault}`);
  if (key.kind === "fault") return broken(`${name}.key ${key.fault}`);
  try {
    return { name, digest, certificate: new Certificate({ cert: cert.bytes, key: key.bytes }), fault: undefined };
  } catch (cause) {
    return broken(withFileNames(name, messageOf(cause)));
  }
}

/** `key: does not …` speaks of a part; whoever reads the log wants the file. */
function withFileNames(name: string, message: string): string {
  const [, part, reason] = /^(cert|key): (.*)$/s.exec(message) ?? [];
  if (reason === undefined) return `${name}.crt: ${message}`;
  return `${name}.${part === "key" ? "key" : "crt"}: ${reason}`;
}

/** The system's short word for what went wrong with a file, such as `ENOENT` or `EACCES`. */
export function errnoOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : messageOf(cause);
}
