import { expect, test } from "vitest";
import { formatEndpoint, parseEndpoint } from "../../src/codecs/address.ts";

test.each([
  ["127.0.0.1:1883", { kind: "tcp", host: "127.0.0.1", port: 1883 }],
  ["[::1]:80", { kind: "tcp", host: "::1", port: 80 }],
  ["broker.internal:0", { kind: "tcp", host: "broker.internal", port: 0 }],
  ["unix:/run/x.sock", { kind: "unix", path: "/run/x.sock" }],
])("%s is an endpoint, and is written back the same", (text, endpoint) => {
  expect(parseEndpoint(text)).toEqual(endpoint);
  const parsed = parseEndpoint(text);
  expect(parsed && formatEndpoint(parsed)).toBe(text);
});

test.each(["", "host", ":80", "host:", "host:65536", "::1:80", "[host]:80", "a b:1", "unix:", "host:80x", "[::1]"])(
  "%j is no endpoint",
  (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  },
);
