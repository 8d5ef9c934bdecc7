import { expect, test } from "vitest";
import { banValue, type HeldBan } from "../../../src/stream/bans/ban.ts";
import { TakenBack } from "../../../src/worker/bans/taken-back.ts";

const ban = (whom: string, fields: Partial<HeldBan> = {}): HeldBan => ({
  whom,
  reason: undefined,
  since: "2026-11-22T08:00:00.000Z",
  untilMs: Number.POSITIVE_INFINITY,
  ...fields,
});
const inRedis = (...bans: readonly HeldBan[]): ReadonlyMap<string, string> =>
  new Map(bans.map((one) => [`ban:${one.whom}`, banValue(one)]));

test("what was taken back is known again in older data, and only there", () => {
  const taken = new TakenBack();
  const [one, byHand] = [ban("192.0.2.1"), ban("192.0.2.2", { since: undefined, reason: "by hand" })];
  for (const each of [one, byHand]) taken.remember(each);
  expect([taken.has(one), taken.isInDoubt]).toEqual([false, false]); // Redis has its data: somebody means it
  taken.doubt(inRedis(byHand));
  expect([taken.has(one), taken.has(byHand), taken.isBack("192.0.2.1"), taken.isBack("192.0.2.2")]).toEqual([
    true, // whoever brings it later has missed that it was taken back
    true,
    false,
    true,
  ]);
  expect(taken.has(ban("192.0.2.1", { since: "2026-11-22T08:00:00.001Z" }))).toBe(false);
  taken.isOut("192.0.2.2");
  expect(taken.has(byHand)).toBe(false);
  taken.forget(one);
  expect(taken.has(one)).toBe(false);
});

test("the last 10,000 are remembered, and none whose time is over", () => {
  const taken = new TakenBack();
  const all = Array.from({ length: 10_001 }, (_, number) => ban(`10.0.${number >> 8}.${number & 255}`));
  for (const each of all) taken.remember(each);
  const over = ban("192.0.2.9", { untilMs: Date.now() - 1 });
  taken.remember(over);
  taken.doubt(inRedis(...all));
  const [first, second] = all;
  expect(first && taken.has(first)).toBe(false);
  expect(second && taken.has(second)).toBe(true);
  expect(taken.has(over)).toBe(false);
});
