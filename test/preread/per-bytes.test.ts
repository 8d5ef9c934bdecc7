import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { perBytes } from "../../src/preread/per-bytes.ts";

test("is asked once about the same bytes, however often and by whomever", () => {
  let looks = 0;
  const answerOf = perBytes((bytes) => ({ size: bytes.length, look: ++looks }));
  const [a, b] = [Buffer.from("a"), Buffer.from("bb")];
  const answers = [...Array(50).fill(a), ...Array(50).fill(b)].map(answerOf);
  expect(new Set(answers)).toEqual(
    new Set([
      { size: 1, look: 1 },
      { size: 2, look: 2 },
    ]),
  );
});

test("equal bytes at another place, and the same ones after others, are looked at anew", () => {
  let looks = 0;
  const answerOf = perBytes(() => ({ look: ++looks }));
  const bytes = Buffer.from("abc");
  answerOf(bytes);
  expect(answerOf(bytes.subarray(0)).look).toBe(2);
  expect(answerOf(bytes).look).toBe(3);
});

test("keeps one head in memory, and no other", async () => {
  const answerOf = perBytes((bytes) => ({ bytes }));
  const heads = [1, 2, 3].map((size) => {
    const bytes = new Uint8Array(size);
    answerOf(bytes);
    return new WeakRef(bytes);
  });
  await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds its object until the turn is over
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  expect(heads.map((head) => head.deref()?.length)).toEqual([undefined, undefined, 3]);
});
