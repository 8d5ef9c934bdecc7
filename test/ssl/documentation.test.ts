import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { SslConfig } from "../../src/ssl/settings.ts";
import { reject } from "../../src/stream/action.ts";

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

const page = readFileSync(new URL("../../docs/tls.md", import.meta.url), "utf8");

test("docs/tls.md explains every option, and none that is not there", () => {
  const [, section = ""] = /## Options\n(.*?)\n## /s.exec(page) ?? [];
  const rows = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, option]) => option);
  expect(rows.sort()).toEqual(Object.keys(OPTIONS).sort());
});

describe("docs/tls.md: its hooks do what is said of them", () => {
  const [versions, asking, peers] = Array.from(
    page.matchAll(/```ts\nphases: (\{\n.*?\n\}),\n```/gs),
    ([, hooks]) => hooks ?? "",
  );

  /** The hooks of a block, where these names mean these things. */
  function hooksOf(block: string | undefined, names: Readonly<Record<string, unknown>>) {
    return new Function(...Object.keys(names), `return ${block}`)(...Object.values(names));
  }

  test("those that choose versions for one client", () => {
    const hooks = hooksOf(versions, {
      blocked: new Set(["bad"]),
      isOurs: (host: string) => host === "10.0.0.1",
      reject,
    });
    const ask = (ja4: string, host: string) => hooks.sslClientHello({ hello: { ja4 }, remote: { host } });
    expect(ask("bad", "10.0.0.1")).toEqual(reject("known attacker"));
    expect(ask("good", "10.0.0.1")).toEqual({ minVersion: "TLSv1.3" });
    expect(ask("good", "192.0.2.1")).toBeUndefined();
  });

  test("those that ask one client for a certificate", () => {
    const { sslCertificate, access } = hooksOf(asking, { reject });
    expect(sslCertificate({ hello: { serverName: "admin.example" } })).toEqual({ requestCert: true });
    expect(sslCertificate({ hello: { serverName: "www.example" } })).toBeUndefined();
    expect(access({ ssl: { serverName: "admin.example", verify: "FAILED:self-signed certificate" } })).toEqual(
      reject("staff only"),
    );
    expect(access({ ssl: { serverName: "admin.example", verify: "SUCCESS" } })).toBeUndefined();
  });

  test("those that decide about a peer", () => {
    const names = { identities: new Map([["blue", "pair"]]), pinned: new Set(["AB:CD"]) };
    const { upstreamCertificate, upstreamVerify } = hooksOf(peers, names);
    expect(upstreamCertificate({ ctx: { tenant: "blue" } })).toBe("pair");
    const verdict = (authorized: boolean, fingerprint256: string) =>
      upstreamVerify({}, { authorized, certificate: { fingerprint256 } });
    expect([verdict(true, "AB:CD"), verdict(false, "AB:CD"), verdict(true, "EF")]).toEqual([true, false, false]);
  });
});
