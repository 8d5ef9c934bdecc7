import fc from "fast-check";
import { expect, test } from "vitest";
import type { DictMemory } from "../../../src/shared/dict/blocks.ts";
import { layoutOf } from "../../../src/shared/dict/layout.ts";
import { Shard } from "../../../src/shared/dict/shard.ts";
import { TableDict } from "../../../src/shared/dict/table-dict.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";
import { audit } from "./audit.ts";
import { Model } from "./model.ts";
import { anyStep } from "./steps.ts";

/** A dictionary whose memory the test can look at. */
function open(sizeBytes: number, now: () => number): { dict: TableDict; shard: Shard } {
  const layout = layoutOf(sizeBytes);
  const buffer = new ArrayBuffer(layout.totalBytes);
  const memory: DictMemory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
  return { dict: new TableDict({ memory, layout, now }), shard: new Shard(memory, layout, 0, now) };
}

const timed = fc.tuple(anyStep, fc.constantFrom(0, 0, 1, 4));

test("any calls answer what a plain table would, and leave everything in order", () => {
  fc.assert(
    fc.property(fc.array(timed, { maxLength: 60 }), (steps) => {
      const model = new Model();
      model.now = 1_000;
      const { dict, shard } = open(256 * 1024, () => model.now);
      for (const [step, passed] of steps) {
        model.now += passed;
        expect(step.real(dict), step.name).toEqual(step.model(model));
      }
      expect(audit(shard)).toEqual([]);
      const live = [...model.entries.keys()].filter((key) => model.live(key));
      expect(dict.keys().sort()).toEqual(live.sort());
    }),
    { numRuns: RUNS / 2 },
  );
});

test("any calls leave everything in order where memory is short", () => {
  fc.assert(
    fc.property(fc.array(timed, { maxLength: 200 }), (steps) => {
      let now = 1_000;
      const { dict, shard } = open(8 * 1024, () => now);
      for (const [step, passed] of steps) {
        now += passed;
        step.real(dict);
      }
      expect(audit(shard)).toEqual([]);
    }),
    { numRuns: RUNS / 2 },
  );
});
