import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { SslConfig } from "../../src/ssl/settings.ts";

const OPTIONS: Readonly<Record<keyof SslConfig, true>> = {
  mode: true,
  certs: true,
  alpn: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  clientCertificate: true,
  ca: true,
  handshakeTimeoutMs: true,
};

test("docs/tls.md explains every option, and none that is not there", () => {
  const page = readFileSync(new URL("../../docs/tls.md", import.meta.url), "utf8");
  const [, section = ""] = /## Options\n(.*?)\n## /s.exec(page) ?? [];
  const rows = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, option]) => option);
  expect(rows.sort()).toEqual(Object.keys(OPTIONS).sort());
});
