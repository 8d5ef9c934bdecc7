import { expect, test } from "vitest";
import { type RejectOptions, reject } from "../../src/stream/action.ts";

test("a refusal has a reason, status 403 unless it says otherwise, and what else the client may be told", () => {
  expect(reject("no")).toEqual({ kind: "reject", reason: "no", status: 403 });
  const options = { status: 503, retryAfterMs: 0, redirect: "https://b.example/x" };
  expect(reject("no", options)).toEqual({ kind: "reject", reason: "no", ...options });
});

test.each<readonly [RejectOptions, string]>([
  [{ status: 99 }, "bad status 99"],
  [{ status: 600 }, "bad status 600"],
  [{ status: 403.5 }, "bad status 403.5"],
  [{ retryAfterMs: -1 }, "bad retryAfterMs -1"],
  [{ retryAfterMs: Number.POSITIVE_INFINITY }, "bad retryAfterMs Infinity"],
  [{ redirect: "" }, "bad redirect "],
  [{ redirect: "a b" }, "bad redirect a b"],
  [{ redirect: "a\r\nX: y" }, "bad redirect a"],
  [{ redirect: "x".repeat(256) }, "bad redirect xxx"],
])("%j is none", (options, words) => {
  expect(() => reject("no", options)).toThrow(`reject: ${words}`);
});
