import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ipFromBytes, ipToBytes, toV6, unmapped } from "../../../src/codecs/ip.ts";
import { ipRange, ipRangeText, isInRange } from "../../../src/codecs/ip-range.ts";
import { banOf, type HeldBan } from "../../../src/stream/bans/ban.ts";
import { BanTable } from "../../../src/stream/bans/ban-table.ts";
import { whomOf } from "../../../src/stream/bans/whom.ts";
import { stages } from "../../../src/stream/limits/limit-key.ts";
import type { Session } from "../../../src/stream/session.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

function ban(text: string, ttlMs?: number): HeldBan {
  const whom = whomOf(text);
  if (!whom) throw new Error(`nobody: ${text}`);
  return banOf(whom, { ttlMs }, Date.now());
}

/** Few different bits, so that ranges meet. */
const byte = fc.constantFrom(0, 1, 127, 128, 192, 255);
const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).chain((any) => fc.oneof(fc.constant(any), few(4)));
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).chain((any) => fc.oneof(fc.constant(any), few(16)));

function few(length: number): fc.Arbitrary<Uint8Array> {
  return fc.array(byte, { minLength: length, maxLength: length }).map((bytes) => Uint8Array.from(bytes));
}

/** As it may be written: IPv4 also in IPv6's clothes. */
const address = fc.oneof(v4, v6, v4.map(toV6)).map(ipFromBytes);
const range = fc
  .tuple(address, fc.integer({ min: 0, max: 128 }), fc.boolean())
  .map(([text, bits, isOne]) => (isOne ? text : `${text}/${bits % ((ipToBytes(text)?.length ?? 0) * 8 + 1)}`));

/** The narrowest of those that hold it, found by looking at each. */
function naive(bans: ReadonlyMap<string, HeldBan>, host: string): HeldBan | undefined {
  const bytes = unmapped(ipToBytes(host) ?? new Uint8Array());
  const ranges = [...bans.values()].flatMap((one) => ({ one, range: ipRange(one.whom) }));
  const holding = ranges.filter(({ range }) => range && isInRange(range, bytes));
  return holding.sort((one, other) => (other.range?.bits ?? 0) - (one.range?.bits ?? 0))[0]?.one;
}

describe("addresses", () => {
  test("are found as by looking at each ban, whatever was added and taken back", () => {
    const change = fc.tuple(range, fc.boolean());
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.array(address, { maxLength: 20 }), (changes, hosts) => {
        const table = new BanTable();
        const bans = new Map<string, HeldBan>();
        for (const [text, isBan] of changes) {
          const one = ban(text);
          if (isBan) bans.set(one.whom, one);
          else bans.delete(one.whom);
          if (isBan) table.add(one);
          else table.remove(one.whom);
        }
        const asked = [...hosts, ...changes.map(([text]) => text.split("/")[0] ?? "")];
        for (const host of asked) expect(table.ofAddress(host)).toBe(naive(bans, host));
        expect(table.hasAddresses).toBe(bans.size > 0);
        for (const { whom } of bans.values()) table.remove(whom);
        expect(table.hasAddresses).toBe(false);
      }),
      { numRuns: RUNS },
    );
  });

  test("are written in one way, which is read as the same", () => {
    fc.assert(
      fc.property(range, (text) => {
        const read = ipRange(text);
        if (!read) throw new Error(`no range: ${text}`);
        const written = ipRangeText(read);
        expect(ipRange(written)).toEqual(read);
        expect(whomOf(text)?.text).toBe(written);
      }),
      { numRuns: RUNS },
    );
  });

  test("of both families, in IPv6's clothes and with a zone are the same clients", () => {
    const table = new BanTable();
    for (const text of ["203.0.113.0/24", "2001:db8::/32", "fe80::1"]) table.add(ban(text));
    const who = (host: string): string | undefined => table.ofAddress(host)?.whom;
    expect(who("203.0.113.9")).toBe("203.0.113.0/24");
    expect(who("::ffff:203.0.113.9")).toBe("203.0.113.0/24");
    expect(who("2001:DB8:1::9")).toBe("2001:db8::/32");
    expect(who("fe80::1%eth0")).toBe("fe80::1");
    for (const other of ["203.0.114.9", "2001:db9::", "unix:", "", "localhost"]) expect(who(other)).toBeUndefined();
  });

  test("are free again when the time of a narrow ban is over, unless a wider one holds", () => {
    const table = new BanTable();
    table.add({ ...ban("192.0.2.1", 10_000), untilMs: Date.now() - 1 });
    expect(table.ofAddress("192.0.2.1")).toBeUndefined();
    table.add(ban("192.0.2.0/24"));
    expect(table.ofAddress("192.0.2.1")?.whom).toBe("192.0.2.0/24");
  });

  test.each(["0.0.0.0/0", "::/0"])("%s holds all of its family and none of the other", (text) => {
    const table = new BanTable();
    table.add(ban(text));
    expect([table.ofAddress("198.51.100.7") !== undefined, table.ofAddress("2001:db8::7") !== undefined]).toEqual(
      text === "::/0" ? [false, true] : [true, false],
    );
  });
});

/** As much of a session as its keys are read from. */
function session(facts: object): Session {
  return { remote: { host: "192.0.2.1", port: 1 }, vars: {}, ...facts } as unknown as Session;
}

describe("keys", () => {
  test.each([
    ["bot", "clientId=bot-7", { info: { clientId: "bot-7" } }, stages.routed],
    ["a very long name", `clientId=${"x".repeat(500)}`, { info: { clientId: "x".repeat(500) } }, stages.routed],
    ["a variable", "var:tenant=acme", { vars: { tenant: "acme" } }, stages.routed],
    ["a variable's number", "var:level=7", { vars: { level: 7 } }, stages.routed],
    ["a name in the hello", "serverName=Evil.Example", { ssl: { serverName: "EVIL.example" } }, stages.hello],
    [
      "a fingerprint",
      "ja4=t13d1516h2_8daaf6152771_02713d6af862",
      { ssl: { ja4: "t13d1516h2_8daaf6152771_02713d6af862" } },
      stages.hello,
    ],
  ])("%s holds those who have it, as soon as it is known", (_name, text, facts, stage) => {
    const table = new BanTable();
    expect(table.hasKeys).toBe(false);
    const one = ban(text);
    expect(table.add(one)).toBe(true);
    expect(table.hasKeys).toBe(true);
    expect(table.ofSession(session(facts), stage)).toBe(one);
    expect(table.ofSession(session({}), stages.routed)).toBeUndefined();
    if (stage === stages.routed) expect(table.ofSession(session(facts), stages.hello)).toBeUndefined();
    table.remove(one.whom);
    expect(table.hasKeys).toBe(false);
    expect(table.ofSession(session(facts), stage)).toBeUndefined();
  });

  test("of many variables are not all asked for", () => {
    const table = new BanTable();
    const taken = Array.from({ length: 40 }, (_, number) => table.add(ban(`var:v${number}=x`)));
    expect(taken.filter(Boolean)).toHaveLength(16);
    expect(table.add(ban("var:v0=y"))).toBe(true);
  });

  test("whose time is over hold nobody", () => {
    const table = new BanTable();
    table.add({ ...ban("clientId=a"), untilMs: Date.now() - 1 });
    expect(table.ofSession(session({ info: { clientId: "a" } }), stages.routed)).toBeUndefined();
  });
});
