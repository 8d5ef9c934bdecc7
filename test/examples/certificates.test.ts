import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureCertificates } from "../../examples/quickstart/certificates.ts";
import { certFolder } from "../../src/ssl/folder/folder.ts";
import { made } from "../ssl/made-certificates.ts";

const HOUR_MS = 3_600_000;

let root: string;
let folder: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "quickstart-"));
  folder = join(root, "made", "certs"); // neither is there yet
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

test("the folder that it makes is one that the gateway can use as it is", async () => {
  await ensureCertificates(folder);
  const warnings: string[] = [];
  const store = await certFolder(folder, { warn: (message) => warnings.push(message) });
  const namesFor = async (name?: string) => (await store.find(name))?.names;
  expect(await namesFor("app.example.test")).toEqual(["app.example.test"]);
  expect(await namesFor("any.play.example.test")).toEqual(["*.play.example.test"]);
  expect(await namesFor("localhost")).toEqual(["localhost"]);
  expect(await namesFor()).toEqual(["localhost"]);
  expect(warnings).toEqual([]);
  await store.close();
});

test("clients may also call it by address", async () => {
  await ensureCertificates(folder);
  const certificate = new X509Certificate(await readFile(join(folder, "default.crt")));
  expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
  expect(certificate.checkIP("::1")).toBe("::1");
});

test("keys are for their owner only, and no drafts stay behind", async () => {
  await ensureCertificates(folder);
  const files = await readdir(folder);
  expect(files.sort()).toEqual([
    "app.example.test.crt",
    "app.example.test.key",
    "default.crt",
    "default.key",
    "play.crt",
    "play.key",
  ]);
  for (const file of files.filter((name) => name.endsWith(".key"))) {
    expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
  }
});

test("what is fine stays as it is", async () => {
  await ensureCertificates(folder);
  const before = await contents();
  await ensureCertificates(folder);
  expect(await contents()).toEqual(before);
});

test.each<[string, () => Promise<void>]>([
  ["its key is missing", () => rm(join(folder, "default.key"))],
  ["its certificate is missing", () => rm(join(folder, "default.crt"))],
  ["it is half written", () => writeFile(join(folder, "default.crt"), "-----BEGIN CERTIFICATE-----\nMIIB")],
  [
    "its key is another's",
    () => made({ names: ["localhost"] }).then(({ key }) => writeFile(join(folder, "default.key"), key)),
  ],
  ["it ends within a day", () => put({ names: ["localhost"], validTo: Date.now() + 23 * HOUR_MS })],
  ["it is for another name", () => put({ names: ["elsewhere.test"], validTo: Date.now() + 48 * HOUR_MS })],
])("a pair is made anew when %s, and the others are left alone", async (_title, spoil) => {
  await ensureCertificates(folder);
  const { "default.crt": old, ...others } = await contents();
  await spoil();
  await ensureCertificates(folder);
  const { "default.crt": fresh, "default.key": key = "", ...rest } = await contents();
  expect(fresh).not.toBe(old);
  expect(rest).toEqual(Object.fromEntries(Object.entries(others).filter(([file]) => file !== "default.key")));
  expect(key).toContain("PRIVATE KEY");
});

test("several at once, in the same folder, leave pairs that fit", async () => {
  await Promise.all(Array.from({ length: 8 }, () => ensureCertificates(folder)));
  const warnings: string[] = [];
  const store = await certFolder(folder, { warn: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  await store.close();
});

test("names of one's own choice take the place of the examples'", async () => {
  await ensureCertificates(folder, { raw: ["raw.example.test"] });
  expect((await readdir(folder)).sort()).toEqual(["raw.crt", "raw.key"]);
});

async function put(wish: Parameters<typeof made>[0]): Promise<void> {
  const { cert, key } = await made(wish);
  await writeFile(join(folder, "default.crt"), cert);
  await writeFile(join(folder, "default.key"), key);
}

async function contents(): Promise<Record<string, string>> {
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return Object.fromEntries(files.map((file, place) => [file, texts[place] ?? ""]));
}
