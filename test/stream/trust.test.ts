import { expect, test } from "vitest";
import { trusts } from "../../src/stream/trust.ts";

test.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.0.0.0/8", "::ffff:10.0.0.1", true],
  ["10.0.0.0/8", "::ffff:a00:1", true],
  ["10.1.2.3/8", "10.9.9.9", true],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["192.0.2.128/25", "192.0.2.200", true],
  ["192.0.2.7", "192.0.2.7", true],
  ["192.0.2.7", "192.0.2.8", false],
  ["0.0.0.0/0", "203.0.113.9", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["::/0", "2001:db8::1", true],
  ["::/0", "10.0.0.1", false],
  ["::/0", "::ffff:10.0.0.1", false],
  ["::ffff:10.0.0.0/104", "10.3.3.3", true],
  ["::ffff:0:0/96", "198.51.100.1", true],
  ["::1", "::1", true],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["fe80::/10", "fe80::1%eth0", true],
  ["unix:", "unix:", true],
  ["unix:", "unix:/run/gateway.sock", true],
  ["unix:", "127.0.0.1", false],
  ["127.0.0.0/8", "unix:/run/gateway.sock", false],
  ["127.0.0.0/8", "localhost", false],
])("the range %s and the sender %s: %s", (range, host, trusted) => {
  expect(trusts([range])(host)).toBe(trusted);
});

test("an empty list trusts nobody", () => {
  const trusted = trusts([]);
  expect(["127.0.0.1", "::1", "unix:"].some(trusted)).toBe(false);
});

test("one of several ranges is enough", () => {
  const trusted = trusts(["10.0.0.0/8", "unix:", "::1"]);
  expect(["10.1.1.1", "unix:/x", "::1"].every(trusted)).toBe(true);
});

test.each([
  "",
  "lb.internal",
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "10.0.0.0/8 ",
  "10.0.0",
  "::1/129",
  "fe80::1%eth0",
  "unix:/run/x.sock",
  "010.0.0.1",
])("the range %j is an error that names it", (range) => {
  expect(() => trusts([range])).toThrow(TypeError);
  expect(() => trusts([range])).toThrow(JSON.stringify(range));
});
