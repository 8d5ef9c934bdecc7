import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { OWNERLESS } from "../../src/registry/redis/ownerless.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

// Which bans are to be asked for their time, as they do not say it.

const mayLast = OWNERLESS["ban:"] ?? (() => false);

test.each([
  [`{"until":"2026-11-22T08:00:00.000Z"}`, false],
  [`{"reason":"x","since":"2026-11-22T08:00:00.000Z","until":"2026-11-22T08:00:00.000Z"}`, false],
  [` { "reason" : "{" ,\n "until" : null }`, false],
  [`{"reason":"x"}`, true],
  [`{"reason":"until"}`, true],
  [`{"reason":",\\"until\\":"}`, true],
  [`{"reason":"{\\"until\\":1}"}`, true],
  [`{"reason":"\\\\","until":1}`, false],
  [`{"reason":["until","x"]}`, true],
  [`{"by":{"name":"x","until":1}}`, true],
  [`{"by":[{"name":"x","until":1}],"until":1}`, false],
  [`[{"reason":"x","until":1}]`, true],
  ["", true],
  [`"until"`, true],
])("a ban that says %s may be for ever: %s", (value, expected) => {
  expect(mayLast(value)).toBe(expected);
});

test("is told as the parsed object says it, whatever that is", () => {
  const word = fc.constantFrom("until", "reason", '"until":', ',"until":', '{"until":', "\\", '\\"', "{", ",");
  const text = fc.oneof(
    word,
    fc.array(word).map((words) => words.join("")),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ depthSize: "small" }, text, fc.constant(null), fc.array(tie("tree")), tie("object")),
    object: fc.dictionary(text, tie("tree")),
  }));
  const object = fc.dictionary(text, tree);
  fc.assert(
    fc.property(object, fc.constantFrom(0, 2), (said, space) => {
      expect(mayLast(JSON.stringify(said, undefined, space))).toBe(!Object.hasOwn(said, "until"));
    }),
    { numRuns: RUNS },
  );
});

test("is told without parsing where a gateway has written it", () => {
  const parse = vi.spyOn(JSON, "parse");
  try {
    const time = "2026-11-22T08:00:00.000Z";
    expect(mayLast(JSON.stringify({ reason: 'who says "until"', since: time, until: time }))).toBe(false);
    expect(mayLast(JSON.stringify({ reason: "x", since: time }))).toBe(true);
    expect(parse).not.toHaveBeenCalled();
  } finally {
    parse.mockRestore();
  }
});
