import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  X509Certificate,
} from "node:crypto";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generate } from "selfsigned";

/** Names of files, without `.crt` and `.key`, and the host names and addresses that the certificate in each is for. */
export type CertificateNames = Readonly<Record<string, readonly [string, ...string[]]>>;

/** Where the examples keep their certificates. */
export const defaultCertificates = fileURLToPath(new URL("../../certs", import.meta.url));

/** One for everybody, one for a name, and one for all names below another. */
const EXAMPLE_NAMES: CertificateNames = {
  default: ["localhost", "127.0.0.1", "::1"],
  "app.example.test": ["app.example.test"],
  play: ["*.play.example.test"],
};

const CURVE = "prime256v1"; // P-256
const DAY_MS = 86_400_000;
const VALID_DAYS = 365;
const MAX_ATTEMPTS = 3; // another gateway may do the same in the same folder at the same time

/** Makes certificates that sign themselves, for trying things out: those that are missing, broken or about to end. */
export async function ensureCertificates(folder: string, names: CertificateNames = EXAMPLE_NAMES): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [file, hosts] of Object.entries(names)) {
    for (let attempt = 1; !(await isUsable(folder, file, hosts)); attempt++) {
      if (attempt > MAX_ATTEMPTS) throw new Error(`cannot make ${join(folder, file)}.crt`);
      await make(folder, file, hosts);
    }
  }
}

/** Is there a key with its certificate, for all the names, for another day at least? */
async function isUsable(folder: string, file: string, hosts: readonly string[]): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await readFile(join(folder, `${file}.crt`)));
    const key = createPrivateKey(await readFile(join(folder, `${file}.key`)));
    const fitting = certificate.checkPrivateKey(key) && Date.parse(certificate.validTo) > Date.now() + DAY_MS;
    return fitting && hosts.every((host) => (isIP(host) ? certificate.checkIP(host) : hasName(certificate, host)));
  } catch {
    return false;
  }
}

function hasName({ subjectAltName = "" }: X509Certificate, host: string): boolean {
  return subjectAltName.split(", ").includes(`DNS:${host}`);
}

async function make(folder: string, file: string, hosts: readonly [string, ...string[]]): Promise<void> {
  const key = await keyIn(join(folder, `${file}.key`));
  const [commonName] = hosts;
  const { cert } = await generate([{ name: "commonName", value: commonName }], {
    keyType: "ec",
    keyPair: {
      privateKey: pemOf(key),
      publicKey: String(createPublicKey(key).export({ type: "spki", format: "pem" })),
    },
    algorithm: "sha256",
    notAfterDate: new Date(Date.now() + VALID_DAYS * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })),
      },
    ],
  });
  const draft = join(folder, `.${randomUUID()}`);
  await writeFile(draft, `${cert.trim()}\n`);
  await rename(draft, join(folder, `${file}.crt`)); // a reader sees the whole old file or the whole new one
}

/** The key that is there, or a new one. Whoever comes second takes the first one's, so that all certificates fit it. */
async function keyIn(path: string): Promise<KeyObject> {
  const known = await readKey(path);
  if (known) return known;
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: CURVE });
  const draft = join(dirname(path), `.${randomUUID()}`);
  await writeFile(draft, pemOf(privateKey), { mode: 0o600 });
  await rm(path, { force: true }); // broken, if it is there at all
  try {
    await link(draft, path); // unlike rename it never replaces a key that came meanwhile
  } catch {
    if (!(await readKey(path))) await rename(draft, path); // some file systems have no links
  }
  await rm(draft, { force: true });
  return (await readKey(path)) ?? privateKey;
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  try {
    const key = createPrivateKey(await readFile(path));
    return key.asymmetricKeyDetails?.namedCurve === CURVE ? key : undefined;
  } catch {
    return undefined;
  }
}

function pemOf(key: KeyObject): string {
  return String(key.export({ type: "pkcs8", format: "pem" }));
}
