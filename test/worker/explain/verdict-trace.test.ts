import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  http,
  lengthPrefixed,
  match,
  mismatch,
  more,
  msgpack,
  type Sniffer,
  ssh,
  tls,
} from "../../../src/preread/index.ts";
import { shownSteps, traceOf } from "../../../src/worker/explain/verdict-trace.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

/** Matches at `size` bytes, and wants what `wants` says before. */
function deciding(size: number, wants: (have: number) => number, verdict: "match" | "mismatch" = "match"): Sniffer {
  const decided = verdict === "match" ? match({}) : mismatch;
  return { name: "test", examples: [], sniff: ({ length }) => (length >= size ? decided : more(wants(length))) };
}

const zeros = (size: number): Uint8Array => new Uint8Array(size);

describe("a trace", () => {
  test.each([
    ["at once", deciding(0, (have) => have + 1), 3, "match at 0"],
    ["in jumps", deciding(14, (have) => (have < 2 ? 2 : 14)), 20, "more(2) at 0 · more(14) at 2 · match at 14"],
    ["byte by byte", deciding(5, (have) => have + 1), 20, "more(+1) from 0 · match at 5"],
    [
      "byte by byte, then in a jump",
      deciding(9, (have) => (have < 3 ? have + 1 : 9)),
      20,
      "more(+1) from 0 · more(9) at 3 · match at 9",
    ],
    ["earlier than it wanted", deciding(1, () => 10, "mismatch"), 20, "more(10) at 0 · mismatch at 1"],
    ["not yet", deciding(14, () => 14), 5, "more(14) at 0"],
    ["without a byte", deciding(14, () => 14), 0, "more(14) at 0"],
  ])("shows a verdict that comes %s", (_, sniffer, size, shown) => {
    expect(shownSteps(traceOf(sniffer, zeros(size)))).toBe(shown);
  });

  test("of 64 KiB asks a sniffer that is hungry byte by byte a hundred times at most", () => {
    let asked = 0;
    const slow = deciding(65_000, (have) => have + 1);
    const counting: Sniffer = {
      ...slow,
      sniff(head) {
        asked++;
        return slow.sniff(head);
      },
    };
    expect(shownSteps(traceOf(counting, zeros(65_536)))).toBe("more(+1) from 0 · match at 65000");
    expect(asked).toBeLessThan(100);
  });

  test("ends although a sniffer asks for bytes that it has", () => {
    const greedy: Sniffer = { name: "greedy", examples: [], sniff: () => more(1) };
    expect(traceOf(greedy, zeros(1_000)).at(-1)?.verdict.kind).toBe("more");
  });

  const sniffers = [http(), ssh(), tls(), msgpack(), lengthPrefixed({ size: 2, max: 40 })];
  test("finds the first byte that decides, of any sniffer and any bytes", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom(...sniffers.flatMap(({ examples }) => examples)),
    );
    fc.assert(
      fc.property(fc.constantFrom(...sniffers), bytes, (sniffer, head) => {
        const last = traceOf(sniffer, head).at(-1);
        expect(last?.verdict.kind).toBe(sniffer.sniff(head).kind);
        if (!last || last.verdict.kind === "more") return;
        expect(sniffer.sniff(head.subarray(0, last.size)).kind).toBe(last.verdict.kind);
        if (last.size > 0) expect(sniffer.sniff(head.subarray(0, last.size - 1)).kind).toBe("more");
      }),
      { numRuns: RUNS },
    );
  });
});
