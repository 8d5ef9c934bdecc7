import { beforeAll, describe, expect, test } from "vitest";
import { type HandshakeSettings, handshakeSettings } from "../../src/ssl/context.ts";
import { type HandshakeWish, settingsFor } from "../../src/ssl/wish.ts";
import { authority, type Made } from "./made-certificates.ts";

let ca: Made;
beforeAll(async () => {
  ca = await authority("tenant");
});

function configured(more: Partial<HandshakeSettings> = {}): HandshakeSettings {
  return handshakeSettings({
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ciphers: undefined,
    clientCertificate: "off",
    clientCa: undefined,
    serverName: "edge",
    ticketKeys: undefined,
    ...more,
  });
}

/** As a hook in JavaScript may write it. */
const untyped = (wish: Record<string, unknown>): HandshakeWish => wish;

describe("settingsFor", () => {
  test("leaves the settings as they are where nothing is wished for", () => {
    const settings = configured();
    for (const wish of [{}, { minVersion: undefined }, untyped({ requestCert: null, clientCa: null })])
      expect(settingsFor(settings)(wish)).toBe(settings);
  });

  test("prepares equal wishes once", () => {
    const wished = settingsFor(configured());
    const once = wished({ minVersion: "TLSv1.3", requestCert: true, clientCa: ca.cert });
    expect(wished({ minVersion: "TLSv1.3", requestCert: true, clientCa: Buffer.from(ca.cert) })).toBe(once);
    expect(wished({ minVersion: "TLSv1.3", requestCert: true })).not.toBe(once);
  });

  test.each<[HandshakeSettings["clientCertificate"], boolean | undefined, string]>([
    ["off", undefined, "off"],
    ["off", true, "optional"],
    ["off", false, "off"],
    ["optional", undefined, "optional"],
    ["optional", true, "optional"],
    ["optional", false, "off"],
    ["required", undefined, "required"],
    ["required", true, "required"],
  ])("with %s configured, requestCert %s means %s", (clientCertificate, requestCert, mode) => {
    const settings = settingsFor(configured({ clientCertificate }))({ requestCert, maxVersion: "TLSv1.3" });
    expect(settings.clientCertificate).toBe(mode);
  });

  test("keeps sessions apart that were judged differently", () => {
    const settings = configured({ clientCa: ca.cert });
    const wished = settingsFor(settings);
    const asked = wished({ requestCert: true });
    expect(asked.sessionIdContext).not.toBe(settings.sessionIdContext);
    expect(wished({ minVersion: "TLSv1.3" }).sessionIdContext).toBe(settings.sessionIdContext);
  });

  test("a version of the hook's goes before the configured one", () => {
    const settings = configured({ maxVersion: "TLSv1.2" });
    expect(settingsFor(settings)({ maxVersion: "TLSv1.3" })).toMatchObject({
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
    });
    expect(settingsFor(settings)({ minVersion: "TLSv1.2" })).toMatchObject({
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
    });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["a version that is none", { minVersion: "1.3" }, 'minVersion: expected TLSv1.2 or TLSv1.3, got "1.3"'],
    ["a version that is old", { maxVersion: "TLSv1.1" }, 'maxVersion: expected TLSv1.2 or TLSv1.3, got "TLSv1.1"'],
    ["a number for a version", { maxVersion: 1.3 }, "maxVersion: expected TLSv1.2 or TLSv1.3, got 1.3"],
    [
      "versions the wrong way round",
      { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
      "minVersion: TLSv1.3 is above maxVersion, TLSv1.2",
    ],
    ["a word for requestCert", { requestCert: "no" }, "requestCert: expected a boolean, got string"],
    ["an authority that nobody is asked for", { clientCa: "-----BEGIN" }, "clientCa: "],
    ["an authority that is no text", { requestCert: true, clientCa: 5 }, "PEM text or bytes expected"],
    [
      "an authority that is cut off",
      { requestCert: true, clientCa: "-----BEGIN CERTIFICATE-----\nAAAA" },
      "clientCa: PEM certificate is cut off or damaged",
    ],
  ])("refuses %s", (_, wish, reason) => {
    expect(() => settingsFor(configured())(untyped(wish))).toThrow(TypeError);
    expect(() => settingsFor(configured())(untyped(wish))).toThrow(reason);
  });
});
