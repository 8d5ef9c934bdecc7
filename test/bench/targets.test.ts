import { describe, expect, test } from "vitest";
import { contestants } from "../../bench/contestants.mjs";
import type { Figure } from "../../bench/figures.mjs";
import { isOperated } from "../../bench/operate.mjs";
import { fullPlan } from "../../bench/plans.mjs";
import { BESIDE, judge, PATHS } from "../../bench/targets.mjs";

const flat = (value: number) => ({ median: value, min: value, max: value });
const figure = (contestant: string, mode: string, more: Partial<Figure> = {}): Figure => ({
  contestant,
  mode,
  cpuNsPerUnit: flat(100),
  unitsPerS: flat(1),
  p50Ns: flat(1),
  p99Ns: flat(1),
  p999Ns: flat(1),
  cpuRatio: undefined,
  wideRatio: undefined,
  speedRatio: undefined,
  p99Ratio: undefined,
  ...more,
});
const judged = (figures: readonly Figure[], title: string, unavailable: Readonly<Record<string, string>> = {}) => {
  const idle = { "restyconf-carrier": { baseKb: 1, kbPerConnection: 1.2, connections: 1 } };
  return judge({ figures, idle, operations: [], unavailable: { ...unavailable } }).find((one) => one.title === title);
};

test("every path and every peer beside it takes part", () => {
  const names = contestants.map(({ name }) => name);
  const paths = Object.values(PATHS).flatMap(({ contestant }) => [contestant, `${contestant}-hook`]);
  expect(names).toEqual(expect.arrayContaining([...paths, ...BESIDE]));
});

test("the full plan measures what the figures to reach are about", () => {
  const modes = fullPlan(30_000).series.flatMap((part) => part.modes);
  const everything = contestants.flatMap(({ name }) =>
    modes.map((mode) => figure(name, mode.name, { cpuRatio: flat(1), wideRatio: flat(1), p99Ratio: flat(1) })),
  );
  const idle = Object.fromEntries(
    contestants.map(({ name }) => [name, { baseKb: 1, kbPerConnection: 1, connections: 1 }]),
  );
  const operations = contestants.filter(isOperated).flatMap(({ name }) =>
    fullPlan(30_000).operations.sessions.map((sessions) => {
      const cost = { tookNs: flat(sessions), cpuNs: flat(sessions), samples: [] };
      return { contestant: name, operation: "list", sessions, ...cost };
    }),
  );
  for (const { title, paths } of judge({ figures: everything, idle, operations, unavailable: {} })) {
    expect(paths["node"]?.met, title).toBeTypeOf("boolean");
    expect(paths["carrier"]?.met, title).toBeTypeOf("boolean");
  }
});

describe("a figure to reach", () => {
  test("is reached by what the table shows, two digits", () => {
    const bulk = (value: number) => judged([figure("restyconf-node", "bulk-up", { cpuRatio: flat(value) })], "bulk up");
    expect(bulk(0.95)?.paths["node"]?.met).toBe(true);
    expect(bulk(0.946)?.paths["node"]?.met).toBe(true);
    expect(bulk(0.944)?.paths["node"]?.met).toBe(false);
  });

  test("may be one that must not be passed", () => {
    const tail = (value: number) =>
      judged([figure("restyconf-carrier", "ping-64", { p99Ratio: flat(value) })], "p99, ping-pong 64 B, nginx 64K = 1");
    expect(tail(0.9)?.paths["carrier"]?.met).toBe(true);
    expect(tail(1.1)?.paths["carrier"]?.met).toBe(false);
    expect(judged([], "idle memory per connection, KB")?.paths["carrier"]?.met).toBe(false);
  });

  test("is neither reached nor missed where nothing was measured", () => {
    const found = judged([], "bulk up", { "restyconf-carrier": "no compiler" });
    expect(found?.paths["node"]?.met).toBeUndefined();
    expect(found?.paths["carrier"]).toMatchObject({ met: undefined, unavailable: "no compiler" });
  });

  test("with a hook is measured with a hook", () => {
    const churn = [figure("restyconf-node", "churn", { cpuRatio: flat(9) })];
    expect(judged(churn, "churn, with a preread hook")?.paths["node"]?.reached).toBeUndefined();
  });

  test("has the peers beside it", () => {
    const bulk = judged([figure("haproxy", "bulk-up", { cpuRatio: flat(1.4) })], "bulk up");
    expect(bulk?.peers).toEqual({ haproxy: flat(1.4), sslh: undefined });
  });

  test("of growth compares the most connections with ten, and needs both", () => {
    const title = "cost of a session beside the most (counting, idle timeout), beside 10 = 1";
    const at = (held: number, ns: number) => figure("restyconf-node", `churn-at-${held}`, { cpuNsPerUnit: flat(ns) });
    expect(judged([at(1_000, 150), at(10, 100), at(8_500, 110)], title)?.paths["node"]).toMatchObject({
      reached: flat(1.1),
      met: true,
    });
    expect(judged([at(1_000, 150)], title)?.paths["node"]?.reached).toBeUndefined();
    expect(judged([at(100, 100), at(1_000, 150)], title)?.paths["node"]?.reached).toBeUndefined();
  });
});
