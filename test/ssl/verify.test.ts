import { once } from "node:events";
import { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Certificate } from "../../src/ssl/certificate.ts";
import { type HandshakeChoice, handshakeSettings, secureContextOf } from "../../src/ssl/context.ts";
import { verdictOf } from "../../src/ssl/verify.ts";
import { serveTls } from "./handshakes.ts";
import { authority, ended, type Made, made } from "./made-certificates.ts";

const HOUR_MS = 3_600_000;
const own = new Certificate(await made({ names: ["server.test"] }));
const ca = await authority("Trusted CA");
const stranger = await authority("Another CA");
const intermediate = await made({ commonName: "Intermediate CA", by: ca, isCa: true });
const viaIntermediate = await made({ commonName: "deep", by: intermediate });

const clients: Record<string, Made | undefined> = {
  none: undefined,
  good: await made({ commonName: "good", by: ca }),
  "good, by way of an intermediate": { cert: viaIntermediate.cert + intermediate.cert, key: viaIntermediate.key },
  "without its intermediate": viaIntermediate,
  "self-signed": await made({ commonName: "self" }),
  "of another CA": await made({ commonName: "foreign", by: stranger }),
  "of a CA that only has the right name": await made({ commonName: "fake", by: await authority("Trusted CA") }),
  expired: await ended({ commonName: "old", by: ca }),
  "not yet valid": await made({ commonName: "young", by: ca, validFrom: Date.now() + HOUR_MS }),
};

const verdicts: readonly [keyof typeof clients, string][] = [
  ["none", "NONE"],
  ["good", "SUCCESS"],
  ["good, by way of an intermediate", "SUCCESS"],
  ["without its intermediate", "FAILED:unable to verify the first certificate"],
  ["self-signed", "FAILED:self-signed certificate"],
  ["of another CA", "FAILED:unable to verify the first certificate"],
  ["of a CA that only has the right name", "FAILED:certificate signature failure"],
  ["expired", "FAILED:certificate has expired"],
  ["not yet valid", "FAILED:certificate is not yet valid"],
];

const choice: HandshakeChoice = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  ciphers: undefined,
  clientCertificate: "optional",
  clientCa: ca.cert,
  serverName: "edge",
  ticketKeys: undefined,
};

function serve(wish: Partial<HandshakeChoice> = {}) {
  const settings = handshakeSettings({ ...choice, ...wish });
  return serveTls(() => secureContextOf(own, settings), settings.clientCertificate);
}

describe.each(["TLSv1.2", "TLSv1.3"] as const)("in %s", (version) => {
  test.each(verdicts)(
    "a client whose certificate is %s is told %s, also when its session is resumed twice",
    async (who, verdict) => {
      await using server = await serve();
      let session: Buffer | undefined;
      for (const isResumed of [false, true, true]) {
        const pair = clients[who];
        const shaken = await server.shake({ version, session, ...(pair ? { pair } : {}) });
        expect(shaken).toMatchObject({ verdict, isResumed, protocol: version });
        session = shaken.session ?? session;
      }
    },
  );

  test("a server that asks for no certificate says NONE whatever is offered", async () => {
    await using server = await serve({ clientCertificate: "off" });
    expect(await server.shake({ version, pair: mustHave("good") })).toMatchObject({ verdict: "NONE" });
  });

  test("no certificate is trusted where no CA is given", async () => {
    await using server = await serve({ clientCa: undefined });
    const shaken = await server.shake({ version, pair: mustHave("good") });
    expect(shaken.verdict).toMatch(/^FAILED:/);
  });

  test("a resumed session is judged by today's date", async () => {
    await using server = await serve();
    const pair = mustHave("good");
    const { session } = await server.shake({ version, pair });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 48 * HOUR_MS });
    const later = await server.shake({ version, pair, session });
    expect(later).toMatchObject({ isResumed: true, verdict: "FAILED:certificate has expired" });
  });

  test.each<[string, Partial<HandshakeChoice>]>([
    ["another server", { serverName: "other" }],
    ["a server that trusts another CA", { clientCa: stranger.cert }],
    ["a server that requires what the first only asked for", { clientCertificate: "required" }],
  ])("a session is not resumed at %s, even with the same ticket keys", async (_title, wish) => {
    const ticketKeys = Buffer.alloc(48, 7);
    await using first = await serve({ ticketKeys });
    await using second = await serve({ ticketKeys, ...wish });
    const { session } = await first.shake({ version, pair: mustHave("good") });
    expect(await first.shake({ version, session })).toMatchObject({ isResumed: true, verdict: "SUCCESS" });
    expect(await second.shake({ version, session })).toMatchObject({ isResumed: false, verdict: "NONE" });
  });

  test("a session is not resumed with another certificate, even with the same ticket keys", async () => {
    const ticketKeys = Buffer.alloc(48, 8);
    const renewed = new Certificate(await made({ names: ["renewed.test"] }));
    const settings = handshakeSettings({ ...choice, ticketKeys });
    await using first = await serve({ ticketKeys });
    await using second = await serveTls(() => secureContextOf(renewed, settings), "optional");
    const { session } = await first.shake({ version, pair: mustHave("good") });
    expect(await second.shake({ version, session })).toMatchObject({ isResumed: false });
  });

  test("workers with the same ticket keys resume each other's sessions, with the verdict", async () => {
    const ticketKeys = Buffer.alloc(48, 9);
    const fresh = new Certificate(own); // as another worker has it: a context of its own
    const settings = handshakeSettings({ ...choice, ticketKeys });
    await using first = await serve({ ticketKeys });
    await using second = await serveTls(() => secureContextOf(fresh, settings), "optional");
    const { session } = await first.shake({ version, pair: mustHave("self-signed") });
    expect(await second.shake({ version, session })).toMatchObject({
      isResumed: true,
      verdict: "FAILED:self-signed certificate",
    });
  });
});

afterEach(() => {
  vi.useRealTimers();
});

test("a socket that is closed, or has no TLS handle, has a failed verdict", async () => {
  const socket = new TLSSocket(new Socket(), {
    isServer: true,
    secureContext: secureContextOf(own, handshakeSettings(choice)),
  });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  expect(verdictOf(socket, "required")).toMatch(/^FAILED:/);
  expect(verdictOf(socket, "off")).toBe("NONE");
});

function mustHave(who: string): Made {
  const pair = clients[who];
  if (!pair) throw new Error(`no client ${who}`);
  return pair;
}
