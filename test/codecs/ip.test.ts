import { SocketAddress } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ipFromBytes, ipToBytes, toV6, unmapped, unmappedText } from "../../src/codecs/ip.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

test.each([
  ["10.0.0.1", "10.0.0.1"],
  ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
  ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
  ["::ffff:a00:1", "::ffff:10.0.0.1"],
  ["::FFFF:10.0.0.1", "::ffff:10.0.0.1"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["fe80::1%eth0", "fe80::1"],
])("%s is written %s (RFC 5952)", (text, canonical) => {
  const bytes = ipToBytes(text);
  expect(bytes && ipFromBytes(bytes)).toBe(canonical);
});

test.each(["", "host", "1.2.3", "01.2.3.4", "1.2.3.4.5", "256.1.1.1", ":::", "1::2::3", "12345::", "[::1]", "unix:/x"])(
  "%j is no address",
  (text) => {
    expect(ipToBytes(text)).toBeUndefined();
  },
);

test("IPv4 turns into IPv6 and back", () => {
  const v4 = Uint8Array.of(192, 0, 2, 1);
  expect(ipFromBytes(toV6(v4))).toBe("::ffff:192.0.2.1");
  expect(unmapped(toV6(v4))).toEqual(v4);
});

test.each([
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8::1", "2001:db8::1"],
  ["::ffff:0:1", "::ffff:0:1"],
])("a client that Node calls %s is %s", (host, expected) => expect(unmappedText(host)).toBe(expected));

test("any 16 bytes survive the way to text and back, and Node reads the same address", () => {
  const group = fc.oneof(fc.constant([0, 0]), fc.tuple(fc.nat(255), fc.nat(255)));
  const address = fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => Uint8Array.from(groups.flat()));
  fc.assert(
    fc.property(address, (bytes) => {
      const text = ipFromBytes(bytes);
      expect(ipToBytes(text)).toEqual(bytes);
      const { address: seen } = new SocketAddress({ address: text, family: "ipv6" });
      expect(ipToBytes(seen)).toEqual(bytes);
    }),
    { numRuns: RUNS },
  );
});
