import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { banOf, banValue, MAX_REASON_CHARS, readBan, shownBan } from "../../../src/stream/bans/ban.ts";
import { type Whom, whomBy, whomOf } from "../../../src/stream/bans/whom.ts";
import { stages } from "../../../src/stream/limits/limit-key.ts";
import type { Session } from "../../../src/stream/session.ts";
import { MAX_BANS } from "../../../src/worker/bans/worker-bans.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

describe("whom", () => {
  test.each([
    ["203.0.113.7", "203.0.113.7"],
    ["203.0.113.7/32", "203.0.113.7"],
    ["203.0.113.7/24", "203.0.113.0/24"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::ffff:203.0.113.7/120", "203.0.113.0/24"],
    ["::/0", "::/0"],
    ["2001:DB8:0::1", "2001:db8::1"],
    ["2001:db8::1/32", "2001:db8::/32"],
    ["address=2001:db8::1", "2001:db8::1"],
    ["subnet=203.0.113.7", "203.0.113.0/24"],
    ["subnet=2001:db8:1:2:3::4", "2001:db8:1:2::/64"],
    ["subnet=10.0.0.0/8", "10.0.0.0/8"],
    ["serverName=Evil.Example", "serverName=evil.example"],
    ["clientId=a=b c", "clientId=a=b c"],
    ["ja4=t13d", "ja4=t13d"],
    ["var:tenant=acme", "var:tenant=acme"],
  ])("%s is written %s", (text, written) => {
    expect(whomOf(text)?.text).toBe(written);
    expect(whomOf(written)?.text).toBe(written);
  });

  test.each([
    "",
    "nobody",
    "unix:",
    "203.0.113",
    "203.0.113.7/33",
    "203.0.113.7/",
    "203.0.113.7/8/8",
    "2001:db8::/129",
    "fe80::1%eth0",
    "address=10.0.0.0/8",
    "clientId=",
    "=x",
    "session=1",
    "var:=x",
    "var:a b=x",
    `var:${"x".repeat(65)}=1`,
    "per=address",
  ])("%j means nobody", (text) => expect(whomOf(text)).toBeUndefined());

  test("of any text is read without a throw, and in one form", () => {
    const prefix = fc.constantFrom("", "clientId=", "serverName=", "subnet=", "var:a=", "ja4=");
    fc.assert(
      fc.property(prefix, fc.string({ unit: "binary", maxLength: 200 }), (kind, text) => {
        const whom = whomOf(kind + text);
        if (whom) expect(whomOf(whom.text)).toEqual(whom);
      }),
      { numRuns: RUNS },
    );
  });

  test("a session is by a key of its own, where it has it", () => {
    const session = { remote: { host: "192.0.2.9", port: 1 }, info: { clientId: "bot" }, vars: { t: "acme" } };
    const by = (name: string): string | undefined => whomBy(session as unknown as Session, name, stages.routed)?.text;
    expect(["address", "subnet", "clientId", "var:t"].map(by)).toEqual([
      "192.0.2.9",
      "192.0.2.0/24",
      "clientId=bot",
      "var:t=acme",
    ]);
    expect(["serverName", "ja4", "var:none", "session", "nonsense"].map(by)).toEqual(Array(5).fill(undefined));
  });
});

const somebody = whomOf("192.0.2.1") as Whom;

describe("a ban's value", () => {
  test("is read as it was written", () => {
    for (const options of [{}, { ttlMs: 60_000 }, { reason: 'say "no"' }, { ttlMs: 1.5, reason: "x".repeat(240) }]) {
      const ban = banOf(somebody, options, 1_790_000_000_000);
      expect(readBan("ban:192.0.2.1", banValue(ban))).toEqual(ban);
    }
    expect(shownBan(banOf(somebody, { ttlMs: 60_000, reason: "spam" }, 1_790_000_000_000))).toEqual({
      whom: "192.0.2.1",
      reason: "spam",
      since: "2026-09-21T14:13:20.000Z",
      until: "2026-09-21T14:14:20.000Z",
    });
  });

  test("is so short that 100,000 of the longest can be read at once, whatever their reasons", () => {
    for (const sign of ["x", "\u0416", "\u{1f600}", '"', "\u0007"]) {
      const perSign = JSON.stringify(sign).length - 2;
      const reason = sign.repeat(Math.floor(MAX_REASON_CHARS / perSign));
      const longest = banValue(banOf(somebody, { ttlMs: 3_155_760_000_000, reason }, Date.now()));
      expect(longest.length * MAX_BANS).toBeLessThan(32 * 1_024 * 1_024);
    }
  });

  test("may be as short as {}: the key's own time is enough", () => {
    expect(readBan("ban:10.0.0.0/8", "{}")).toMatchObject({ untilMs: Number.POSITIVE_INFINITY });
  });

  test.each([
    ["ban:192.0.2.1", "", "expected a JSON object"],
    ["ban:192.0.2.1", "7", "expected a JSON object"],
    ["ban:192.0.2.1", '{"reason":7}', "reason: expected text"],
    ["ban:192.0.2.1", JSON.stringify({ reason: "x".repeat(257) }), "reason: expected text of 256 characters"],
    ["ban:192.0.2.1", '{"until":"soon"}', "until: expected a time"],
    ["ban:192.0.2.1", '{"since":1}', "since: expected a time"],
    ["ban:192.0.2.1/24", "{}", "it is to be written as ban:192.0.2.0/24"],
    ["ban:2001:DB8::1", "{}", "it is to be written as ban:2001:db8::1"],
    ["ban:everybody", "{}", "it names nobody"],
    ["ban:", "{}", "it names nobody"],
  ])("%s %s is of no use: %s", (key, value, why) => expect(readBan(key, value)).toContain(why));

  test.each([
    [{ ttlMs: 0 }, "ttlMs: expected more than 0"],
    [{ ttlMs: -1 }, "ttlMs: expected more than 0"],
    [{ ttlMs: Number.NaN }, "ttlMs: expected more than 0"],
    [{ ttlMs: 1e15 }, "ttlMs: expected more than 0"],
    [{ reason: "x".repeat(241) }, "reason: expected text of 240 characters at most, as JSON writes it"],
    [{ reason: '"'.repeat(121) }, "reason: expected text of 240 characters"],
    [{ reason: "\u0007".repeat(41) }, "reason: expected text of 240 characters"],
    [{ reason: 7 as unknown as string }, "reason: expected text"],
  ])("cannot come of %j", (options, why) => {
    expect(() => banOf(somebody, options, Date.now())).toThrow(TypeError);
    expect(() => banOf(somebody, options, Date.now())).toThrow(why);
  });
});
