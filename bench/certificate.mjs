// A certificate for the TLS modes, in all the forms that contestants want.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
const NAME = ["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test"];

/** ECDSA P-256, signed by itself. @param {string} parent @returns {import("./contestants.mjs").Certificate} */
export function makeCertificate(parent) {
  const folder = join(parent, "certs");
  mkdirSync(folder);
  const chain = join(folder, "default.crt");
  const key = join(folder, "default.key");
  const combined = join(parent, "combined.pem");
  execFileSync("openssl", ["req", "-x509", ...KEY, ...NAME, "-days", "2", "-keyout", key, "-out", chain], {
    stdio: "pipe",
  });
  writeFileSync(combined, `${readFileSync(chain, "utf8")}${readFileSync(key, "utf8")}`, { mode: 0o600 });
  return { chain, key, combined, folder };
}
