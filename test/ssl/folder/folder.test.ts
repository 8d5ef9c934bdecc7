import { X509Certificate } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { link, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { handshakeSettings, secureContextOf } from "../../../src/ssl/context.ts";
import { type CertFolder, certFolder } from "../../../src/ssl/folder/folder.ts";
import { certStoreLaws } from "../../laws/cert-store-laws.ts";
import { eventually } from "../../support/eventually.ts";
import { serveTls } from "../handshakes.ts";
import { ended, type Made, made } from "../made-certificates.ts";

const NEVER_MS = 3_600_000; // the poll must not help where the watch is to be proved

certStoreLaws("a folder of certificates", async ({ exact, wildcard, fallback }) => {
  const path = await mkdtemp(join(tmpdir(), "certs-"));
  await put(path, "app", exact);
  await put(path, "wild", wildcard);
  if (fallback) await put(path, "default", fallback);
  const store = await certFolder(path, { warn: () => {} });
  return { store, close: () => store.close().then(() => rm(path, { recursive: true })) };
});

const [app, newApp, wild, other] = await Promise.all([
  made({ names: ["app.test"] }),
  made({ names: ["app.test"], validTo: Date.now() + 48 * 3_600_000 }),
  made({ names: ["*.app.test"] }),
  made({ names: ["other.test"] }),
]);

let root: string;
let path: string;
let warnings: string[];
let open: CertFolder[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "folder-"));
  path = join(root, "certs");
  await mkdir(path);
  warnings = [];
  open = [];
});

afterEach(async () => {
  for (const folder of open) await folder.close();
  await rm(root, { recursive: true, force: true });
});

async function opened(pollMs = NEVER_MS): Promise<CertFolder> {
  const folder = await certFolder(path, { warn: (message) => warnings.push(message), pollMs });
  open.push(folder);
  return folder;
}

describe("the folder is read again", () => {
  test("when a pair is overwritten in place", async () => {
    await put(path, "app", app);
    const folder = await opened();
    await put(path, "app", newApp);
    await eventually(() => answers(folder, "app.test", newApp));
  });

  test("when files are renamed over the old ones", async () => {
    await put(path, "app", app);
    const folder = await opened();
    await put(root, "next", newApp);
    await rename(join(root, "next.key"), join(path, "app.key"));
    await rename(join(root, "next.crt"), join(path, "app.crt"));
    await eventually(() => answers(folder, "app.test", newApp));
  });

  test("when a pair appears, and when it goes away", async () => {
    await put(path, "app", app);
    const folder = await opened();
    await put(path, "other", other);
    await eventually(() => answers(folder, "other.test", other));
    for (const side of ["crt", "key"]) rmSync(join(path, `other.${side}`)); // at once, as with `put`
    await eventually(() => answers(folder, "other.test", undefined));
    await answers(folder, "app.test", app);
    expect(warnings).toEqual([]);
  });

  test("when Kubernetes swaps the directory behind ..data, time and again", async () => {
    await mount("..2026_1", { app });
    await symlink("..2026_1", join(path, "..data"));
    for (const file of ["app.crt", "app.key"]) await symlink(join("..data", file), join(path, file));
    const folder = await opened();
    await answers(folder, "app.test", app);
    for (const [number, next] of [newApp, app, newApp].entries()) {
      await mount(`..2026_${number + 2}`, { app: next });
      await symlink(`..2026_${number + 2}`, join(path, "..data_tmp"));
      await rename(join(path, "..data_tmp"), join(path, "..data"));
      await rm(join(path, `..2026_${number + 1}`), { recursive: true });
      await eventually(() => answers(folder, "app.test", next));
    }
    expect(warnings).toEqual([]);
  });

  test("when the file that a symlink leads to changes, in another directory", async () => {
    const elsewhere = join(root, "live", "app");
    await mkdir(elsewhere, { recursive: true });
    await put(elsewhere, "own", app);
    for (const side of ["crt", "key"]) await symlink(join(elsewhere, `own.${side}`), join(path, `app.${side}`));
    const folder = await opened();
    await put(elsewhere, "own", newApp);
    await eventually(() => answers(folder, "app.test", newApp));
  });

  test("when a link on the way to the folder is turned to another folder", async () => {
    const [first, second] = [join(root, "v1"), join(root, "v2")];
    for (const version of [first, second]) await mkdir(version);
    await put(first, "app", app);
    await put(second, "app", newApp);
    await rm(path, { recursive: true });
    await symlink(first, path);
    const folder = await opened();
    await symlink(second, join(root, "next"));
    await rename(join(root, "next"), path);
    await eventually(() => answers(folder, "app.test", newApp));
    await put(second, "app", app);
    await eventually(() => answers(folder, "app.test", app));
  });

  test("when the folder itself is replaced, and goes on with the new one", async () => {
    await put(path, "app", app);
    const folder = await opened();
    await mkdir(join(root, "next"));
    await put(join(root, "next"), "app", newApp);
    await rename(path, join(root, "old"));
    await eventually(() => expect(warnings).toEqual([`${path} cannot be read (ENOENT); its certificates stay in use`]));
    await answers(folder, "app.test", app);
    await rename(join(root, "next"), path);
    await eventually(() => answers(folder, "app.test", newApp));
    await put(path, "other", other);
    await eventually(() => answers(folder, "other.test", other));
  });

  test("when the folder is replaced in a moment, and then for each change of the new one", async () => {
    await put(path, "app", app);
    const folder = await opened();
    await mkdir(join(root, "next"));
    await put(join(root, "next"), "app", newApp);
    renameSync(path, join(root, "old"));
    renameSync(join(root, "next"), path);
    await eventually(() => answers(folder, "app.test", newApp));
    await put(path, "app", app);
    await eventually(() => answers(folder, "app.test", app));
    expect(warnings).toEqual([]);
  });

  test("when the directory that dangling links lead to appears, at last or again", async () => {
    const elsewhere = join(root, "late", "deep");
    for (const side of ["crt", "key"]) await symlink(join(elsewhere, `own.${side}`), join(path, `app.${side}`));
    await put(path, "other", other);
    const folder = await opened();
    expect(warnings).toEqual([`${path}/app.crt is a link that leads nowhere; left out`]);
    await mkdir(elsewhere, { recursive: true });
    await put(elsewhere, "own", app);
    await eventually(() => answers(folder, "app.test", app));
    rmSync(join(root, "late"), { recursive: true });
    await eventually(() => expect(warnings).toHaveLength(2));
    await answers(folder, "app.test", app);
    await mkdir(elsewhere, { recursive: true });
    await put(elsewhere, "own", newApp);
    await eventually(() => answers(folder, "app.test", newApp));
  });

  test("by the slow poll, when nobody tells: a change through a hard link elsewhere", async () => {
    await put(root, "app", app);
    for (const side of ["crt", "key"]) await link(join(root, `app.${side}`), join(path, `app.${side}`));
    const folder = await opened(20);
    await put(root, "app", newApp);
    await eventually(() => answers(folder, "app.test", newApp));
  });
});

describe("a broken pair", () => {
  test.each<[string, () => Promise<void>, string]>([
    [
      "whose key is of another certificate",
      () => put(path, "app", { ...newApp, key: other.key }),
      "app.key: does not belong to cert",
    ],
    [
      "whose certificate is half written",
      () => put(path, "app", { ...newApp, cert: newApp.cert.slice(0, 300) }),
      "app.crt: PEM certificate is cut off or damaged",
    ],
    [
      "whose key is half written",
      () => put(path, "app", { ...newApp, key: newApp.key.slice(0, 100) }),
      "app.key: not a private key",
    ],
    [
      "whose certificate is empty",
      () => put(path, "app", { ...newApp, cert: "" }),
      "app.crt: no PEM certificate in it",
    ],
    ["whose key is gone", () => rm(join(path, "app.key")), "app.key is missing"],
    ["whose certificate is gone", () => rm(join(path, "app.crt")), "app.crt is missing"],
    [
      "whose certificate is a directory",
      () => rm(join(path, "app.crt")).then(() => mkdir(join(path, "app.crt"))),
      "app.crt is not a file",
    ],
    [
      "whose certificate is far too long",
      () => writeFile(join(path, "app.crt"), Buffer.alloc(1_048_577)),
      "app.crt is larger than",
    ],
  ])("%s keeps the old certificate and says so once", async (_title, breakIt, message) => {
    await put(path, "app", app);
    const folder = await opened();
    await breakIt();
    await eventually(() => expect(warnings.filter((text) => text.includes(message))).toHaveLength(1));
    expect(warnings.at(-1)).toContain(`${path}/app.`);
    expect(warnings.at(-1)).toContain("; the certificate before it stays in use");
    await answers(folder, "app.test", app);

    const soFar = warnings.length;
    await put(path, "other", other); // another reading, with nothing new to say
    await eventually(() => answers(folder, "other.test", other));
    expect(warnings).toHaveLength(soFar);

    await rm(join(path, "app.crt"), { recursive: true, force: true });
    await put(path, "app", newApp);
    await eventually(() => answers(folder, "app.test", newApp));
  });

  test("is not complained of while it is being written", async () => {
    await put(path, "app", app);
    const folder = await opened(1); // reads amid the writing, which a watch alone would wait for
    for (const next of [newApp, app, newApp, app, newApp, app, newApp, app]) {
      writeFileSync(join(path, "app.crt"), next.cert);
      await sleep(5);
      writeFileSync(join(path, "app.key"), next.key);
      await eventually(() => answers(folder, "app.test", next));
    }
    expect(warnings).toEqual([]);
  });

  test("is said again when it is broken in another way", async () => {
    await put(path, "app", app);
    await opened();
    for (const [times, wrong] of [other, wild].entries()) {
      await put(path, "app", { cert: app.cert, key: wrong.key });
      await eventually(() => expect(warnings).toHaveLength(times + 1));
    }
  });

  test("is left out at the start, while the others serve", async () => {
    await put(path, "app", app);
    await put(path, "bad", { cert: other.cert, key: app.key });
    const folder = await opened();
    await answers(folder, "app.test", app);
    await answers(folder, "other.test", undefined);
    expect(warnings).toEqual([`${path}/bad.key: does not belong to cert; left out`]);
  });
});

describe("the start fails loudly, with the path", () => {
  test.each<[string, () => Promise<void>, string]>([
    ["there is no folder", () => rm(path, { recursive: true }), "cannot be read (ENOENT)"],
    [
      "the folder is a file",
      () => rm(path, { recursive: true }).then(() => writeFile(path, "")),
      "cannot be read (ENOTDIR)",
    ],
    ["the folder is empty", async () => {}, "holds no name.crt with name.key"],
    [
      "its files are of other kinds",
      () => writeFile(join(path, "app.pem"), app.cert),
      "holds no name.crt with name.key",
    ],
    ["its only pair is broken", () => put(path, "app", { ...app, key: other.key }), "app.key: does not belong to cert"],
  ])("when %s", async (_title, prepare, message) => {
    await prepare();
    const failure = await opened().catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(TypeError);
    expect(String(failure)).toContain(message);
    expect(String(failure)).toContain(path);
    expect(warnings).toEqual([]);
  });
});

test("a certificate that has ended is served, with a warning; one that begins tomorrow too", async () => {
  const old = await ended({ names: ["old.test"] });
  const young = await made({ names: ["young.test"], validFrom: Date.now() + 3_600_000 });
  await put(path, "old", old);
  await put(path, "young", young);
  const folder = await opened(20);
  await answers(folder, "old.test", old);
  await answers(folder, "young.test", young);
  await put(path, "app", app);
  await eventually(() => answers(folder, "app.test", app));
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/certs\/old\.crt expired at \d{4}-\d\d-\d\dT/);
  expect(warnings[1]).toMatch(/certs\/young\.crt is not valid before \d{4}-\d\d-\d\dT/);
});

test("of several certificates for a name the file called so wins, then the valid one, then the one valid longest", async () => {
  const old = await ended({ names: ["app.test", "b.test"] });
  const short = await made({ names: ["app.test", "b.test"], validTo: Date.now() + 60_000 });
  await put(path, "1-old", old);
  await put(path, "2-short", short);
  await put(path, "3-long", newApp);
  await put(path, "app.test", app);
  const folder = await opened();
  await answers(folder, "app.test", app);
  await answers(folder, "b.test", short);
  await rm(join(path, "app.test.crt"));
  await rm(join(path, "app.test.key"));
  await eventually(() => answers(folder, "app.test", newApp));
});

test("a file's name answers for certificates that do not have it, but takes no name from one that has", async () => {
  await put(path, "legacy.test", await made({ commonName: "Our Company" }));
  await put(path, "other.test", app);
  await put(path, "real", other);
  const folder = await opened();
  expect((await folder.find("legacy.test"))?.names).toEqual([]);
  await answers(folder, "other.test", other);
  await answers(folder, "default", undefined);
});

test("a pair that did not change stays the same certificate, with its contexts and sessions", async () => {
  await put(path, "app", app);
  const folder = await opened();
  const before = await folder.find("app.test");
  await put(path, "other", other);
  await eventually(() => answers(folder, "other.test", other));
  expect(await folder.find("app.test")).toBe(before);
});

test("after close nothing is read any more, but what was read is still answered", async () => {
  await put(path, "app", app);
  const folder = await opened(10);
  const witness = await opened(10);
  await folder.close();
  await put(path, "app", newApp);
  await eventually(() => answers(witness, "app.test", newApp));
  await answers(folder, "app.test", app);
  await folder.close();
});

test("clients see the certificate for their name, and the new one without a restart", async () => {
  await put(path, "app", app);
  await put(path, "wild", wild);
  await put(path, "default", other);
  const folder = await opened();
  const settings = handshakeSettings({
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ciphers: undefined,
    clientCertificate: "off",
    clientCa: undefined,
    serverName: "edge",
    ticketKeys: undefined,
  });
  await using server = await serveTls(async (name) => {
    const found = await folder.find(name);
    return found && secureContextOf(found, settings);
  });
  const seen = async (name?: string) => (await server.shake(name === undefined ? {} : { name })).fingerprint;
  expect(await seen("app.test")).toBe(fingerprintOf(app));
  expect(await seen("www.app.test")).toBe(fingerprintOf(wild));
  expect(await seen("a.b.app.test")).toBe(fingerprintOf(other));
  expect(await seen()).toBe(fingerprintOf(other));
  await put(path, "app", newApp);
  await eventually(async () => expect(await seen("app.test")).toBe(fingerprintOf(newApp)));
});

/** Both at once: were this process held up in between, a half-written pair would be complained of, and rightly so. */
async function put(folder: string, name: string, { cert, key }: Made): Promise<void> {
  writeFileSync(join(folder, `${name}.crt`), cert);
  writeFileSync(join(folder, `${name}.key`), key);
}

async function mount(version: string, pairs: Readonly<Record<string, Made>>): Promise<void> {
  await mkdir(join(path, version));
  for (const [name, pair] of Object.entries(pairs)) await put(join(path, version), name, pair);
}

async function answers(folder: CertFolder, name: string, pair: Made | undefined): Promise<void> {
  expect((await folder.find(name))?.fingerprint).toBe(pair && fingerprintOf(pair));
}

function fingerprintOf({ cert }: Made): string {
  return new X509Certificate(cert).fingerprint256;
}
