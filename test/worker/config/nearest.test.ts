import { expect, test } from "vitest";
import { nearest } from "../../../src/worker/config/nearest.ts";

test.each([
  ["gmae", ["broker", "game"], "game"],
  ["lisen", ["listen", "ssl"], "listen"],
  ["clientID", ["clientId", "username"], "clientId"],
  ["ssl", ["ssh", "tls"], "ssh"],
  ["mode", ["certs", "alpn"], undefined],
  ["", ["a"], "a"],
  ["x", [], undefined],
  ["completely different", ["listen"], undefined],
  ["l".repeat(10_000), ["listen"], undefined],
])("%j among %j is meant as %j", (word, known, meant) => {
  expect(nearest(word, known)).toBe(meant);
});
