import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_PAGE_ROWS, PAGE_ROWS, readFrame } from "../../../src/worker/link/frame.ts";
import { linkCodec } from "../../../src/worker/link/link-codec.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const bytes = Buffer.from("hi");

describe("what a game server says", () => {
  test.each([
    [{ type: "welcome" }, { kind: "welcome" }],
    [
      { type: "ping", id: 7 },
      { kind: "ping", id: 7 },
    ],
    [{ type: "ping" }, { kind: "ping", id: undefined }],
    [{ type: "pong", id: 1 }, { kind: "pong" }],
    [
      { type: "message", data: [1] },
      { kind: "message", id: undefined, data: [1] },
    ],
    [
      { type: "message", id: "m", data: null },
      { kind: "message", id: "m", data: null },
    ],
    [
      { type: "refused", reason: "full" },
      { kind: "refused", reason: "full" },
    ],
    [{ type: "goodbye" }, { kind: "goodbye", reason: "no reason" }],
    [
      { type: "push", session: "a", data: bytes },
      { kind: "push", id: undefined, session: "a", data: bytes },
    ],
    [
      { type: "push", id: 1, session: "a", data: "hi" },
      { kind: "push", id: 1, session: "a", data: bytes },
    ],
    [
      { type: "kick", id: null, session: "a" },
      { kind: "kick", id: undefined, session: "a" },
    ],
    [
      { type: "broadcast", tag: "eu", data: bytes },
      { kind: "broadcast", id: undefined, tag: "eu", data: bytes },
    ],
    [{ type: "sessions" }, { kind: "sessions", id: undefined, tag: "*", after: 0, limit: PAGE_ROWS }],
    [
      { type: "sessions", limit: 1e6, after: 9 },
      { kind: "sessions", tag: "*", after: 9, limit: MAX_PAGE_ROWS },
    ],
    [
      { type: "sessions", tag: null, after: null, limit: 0 },
      { kind: "sessions", tag: "*", after: 0, limit: PAGE_ROWS },
    ],
  ])("%j is understood", (frame, heard) => expect(readFrame(frame)).toEqual(heard));

  test.each([
    [undefined, "expected a map with a type"],
    ["welcome", "expected a map with a type"],
    [["welcome"], "expected a map with a type"],
    [{}, "expected a map with a type"],
    [{ type: 1 }, "type: expected text"],
    [{ type: { toString: 1 } }, "type: expected text"],
    [{ type: "dance", id: 3 }, 'unknown type "dance"'],
    [{ type: "constructor" }, 'unknown type "constructor"'],
    [{ type: "kick", id: {}, session: "a" }, "id: expected a number or a short text"],
    [{ type: "kick", id: "x".repeat(129), session: "a" }, "id: expected a number or a short text"],
    [{ type: "kick" }, "session: expected text"],
    [{ type: "push", session: "a" }, "data: expected bytes or text"],
    [{ type: "push", session: 1, data: bytes }, "session: expected text"],
    [{ type: "broadcast", data: bytes }, "tag: expected text"],
    [{ type: "broadcast", tag: "eu", data: 1 }, "data: expected bytes or text"],
    [{ type: "sessions", tag: 1 }, "tag: expected text"],
    [{ type: "sessions", after: -1 }, "after: expected the `next` of a page"],
    [{ type: "sessions", limit: 0.5 }, "limit: expected a whole number"],
  ])("%j is wrong, with the reason", (frame, reason) =>
    expect(readFrame(frame)).toMatchObject({ kind: "wrong", reason }),
  );

  test("a wrong frame keeps its id, for the refusal", () =>
    expect(readFrame({ type: "dance", id: 3 })).toMatchObject({ id: 3 }));

  test("nothing that a codec can decode makes it throw", () => {
    const types = fc.constantFrom("welcome", "ping", "message", "push", "kick", "broadcast", "sessions", "goodbye");
    const fields = fc.record(
      {
        type: types,
        id: fc.anything(),
        session: fc.anything(),
        tag: fc.anything(),
        data: fc.anything(),
        after: fc.anything(),
        limit: fc.anything(),
        reason: fc.anything(),
      },
      { requiredKeys: ["type"] },
    );
    const known = (value: unknown): void => {
      expect(readFrame(value)).toHaveProperty("kind");
    };
    fc.assert(fc.property(fc.oneof(fc.anything(), fields), known), { numRuns: RUNS });
  });
});

codecLaws(linkCodec(), [
  { name: "hello", value: { type: "hello", version: 1, worker: 10, master: 1, address: "127.0.0.1:5050" } },
  { name: "push", value: { type: "push", session: "a-1", data: Buffer.from([0, 255, 193]) } },
]);
