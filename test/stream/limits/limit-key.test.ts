import { describe, expect, test } from "vitest";
import { keyOf, stages, subnetOf } from "../../../src/stream/limits/limit-key.ts";
import type { Session } from "../../../src/stream/session.ts";

const session = (facts: object): Session => ({ remote: { host: "192.0.2.7", port: 1 }, vars: {}, ...facts }) as Session;

test.each([
  ["192.0.2.7", "192.0.2.0/24"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8::/64"],
  ["fe80::1%eth0", "fe80::/64"],
  ["unix:", "unix:"],
])("the subnet of %s is %s", (host, subnet) => expect(subnetOf(host)).toBe(subnet));

describe("keys", () => {
  test.each([
    ["session", { id: "s1" }, "s1", "accepted"],
    ["address", {}, "192.0.2.7", "accepted"],
    ["subnet", {}, "192.0.2.0/24", "accepted"],
    ["serverName", { ssl: { serverName: "A.test" } }, "a.test", "hello"],
    ["serverName", { ssl: undefined }, undefined, "hello"],
    ["ja4", { ssl: { ja4: "t13d" } }, "t13d", "hello"],
    ["clientId", { info: { clientId: "bot" } }, "bot", "routed"],
    ["clientId", { info: { clientId: "" } }, undefined, "routed"],
    ["clientId", { info: undefined }, undefined, "routed"],
    [{ var: "game" }, { vars: { game: "chess" } }, "chess", "routed"],
    [{ var: "game" }, { vars: { game: 7 } }, "7", "routed"],
    [{ var: "game" }, {}, undefined, "routed"],
    [({ protocol }: Session) => protocol, { protocol: "mqtt" }, "mqtt", "routed"],
    [() => undefined, {}, undefined, "routed"],
  ] as const)("of %s with %j is %s, known when %s", (per, facts, key, stage) => {
    const found = keyOf(per);
    expect(found.of(session(facts))).toBe(key);
    expect(found.stage).toBe(stages[stage]);
  });

  test("that strangers make long are kept as a hash, and stay apart", () => {
    const of = (clientId: string): string | undefined => keyOf("clientId").of(session({ info: { clientId } }));
    const long = "x".repeat(60_000);
    expect(of(long)).toHaveLength(43);
    expect(of(long)).not.toBe(of(`${long}y`));
    expect(of("x".repeat(128))).toHaveLength(128);
  });

  test("whose function throws are a hook that failed", () => {
    const broken = (): string => {
      throw new Error("no luck");
    };
    expect(() => keyOf(broken).of(session({}))).toThrow("hook failed: limits: no luck");
  });
});
