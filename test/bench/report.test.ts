import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { contestants } from "../../bench/contestants.mjs";
import { figuresOf, median, rangeOf } from "../../bench/figures.mjs";
import { readOptions } from "../../bench/options.mjs";
import { fullPlan, mostConnections, mostSessions, quickPlan } from "../../bench/plans.mjs";
import { barChart } from "../../bench/report/chart.mjs";
import { writeReport } from "../../bench/report/markdown.mjs";
import { asMarkdown, asText, terminalTables } from "../../bench/report/tables.mjs";
import { judge } from "../../bench/targets.mjs";

const sample = (round: number, cpuNsPerUnit: number, unitsPerS = 1_000) => ({
  round,
  cpuNsPerUnit,
  unitsPerS,
  p50Ns: 10_000,
  p99Ns: 20_000,
  p999Ns: 30_000,
});
const MANY = 30_000;
const series = [
  { contestant: "nginx-64k", mode: "churn", samples: [sample(0, 100), sample(1, 200), sample(2, 110)] },
  { contestant: "restyconf-node", mode: "churn", samples: [sample(0, 50), sample(1, 400), sample(2, 55, 3_000)] },
  { contestant: "sslh", mode: "churn", samples: [sample(0, 100)], fault: "12 connections failed" },
];

test("a median is the middle, or the mean of the two in the middle", () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("a range has the median, the smallest and the largest", () => {
  expect(rangeOf([90, 120, 100])).toEqual({ median: 100, min: 90, max: 120 });
});

const BASES = { base: "nginx-64k", wideBase: "nginx-256k" };
const flat = (value: number) => ({ median: value, min: value, max: value });
function listed(contestant: string, sessions: number, cpuMs: number) {
  const [cpuNs, tookNs] = [cpuMs * 1e6, cpuMs * 2e6];
  const samples = [{ round: 0, cpuNs, tookNs }];
  return { contestant, operation: "list", sessions, cpuNs: flat(cpuNs), tookNs: flat(tookNs), samples };
}

test("ratios are taken within rounds, and above 1 is cheaper than the base", () => {
  const [base, own] = figuresOf(series, BASES);
  expect(base).toMatchObject({
    cpuNsPerUnit: { median: 110, min: 100, max: 200 },
    cpuRatio: flat(1),
    speedRatio: flat(1),
  });
  // 100/50, 200/400, 110/55: a slow second round does not count twice
  expect(own).toMatchObject({ cpuNsPerUnit: { median: 55 }, cpuRatio: { median: 2, min: 0.5, max: 2 } });
  expect(own).toMatchObject({ speedRatio: { median: 1, max: 3 }, p99Ratio: flat(1) });
});

test("the ratio to large buffers is one of its own", () => {
  const wide = { contestant: "nginx-256k", mode: "churn", samples: [sample(0, 25), sample(1, 200), sample(2, 27.5)] };
  const own = figuresOf([...series, wide], BASES).find(({ contestant }) => contestant === "restyconf-node");
  expect(own?.wideRatio).toEqual(flat(0.5));
  expect(figuresOf(series, BASES)[1]?.wideRatio).toBeUndefined();
});

test("what has no latency has no ratio of it", () => {
  const bulk = ["nginx-64k", "haproxy"].map((contestant) => ({
    contestant,
    mode: "bulk-up",
    samples: [{ ...sample(0, 100), p99Ns: 0 }],
  }));
  expect(figuresOf(bulk, BASES)[1]?.p99Ratio).toBeUndefined();
});

test("a contestant that failed has no figure", () => {
  expect(figuresOf(series, BASES).map(({ contestant }) => contestant)).toEqual(["nginx-64k", "restyconf-node"]);
});

test("without the base there is no ratio", () => {
  const [own] = figuresOf(series.slice(1, 2), BASES);
  expect(own?.cpuRatio).toBeUndefined();
});

test("names of modes and contestants are unique", () => {
  for (const { series: parts } of [fullPlan(MANY), quickPlan()]) {
    const names = parts.flatMap(({ modes }) => modes.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  }
  expect(new Set(contestants.map(({ name }) => name)).size).toBe(contestants.length);
});

test("growth ends where the limit of open files does", () => {
  expect(mostConnections(MANY)).toBe(10_000);
  expect(mostConnections(9_650)).toBe(9_500);
  expect(fullPlan(9_650).missing).toContainEqual(expect.stringContaining("Growth ends at 9,500 connections"));
  expect(fullPlan(MANY).missing).toEqual([]);
});

test("an operator's questions end where the limit of open files does", () => {
  expect(mostSessions(MANY)).toBe(20_000);
  expect(fullPlan(MANY).operations.sessions).toEqual([1, 1_000, 20_000]);
  expect(fullPlan(8_650).operations.sessions).toEqual([1, 1_000, 8_600]);
  expect(fullPlan(650).operations.sessions).toEqual([1, 600]);
  expect(fullPlan(8_650).missing).toContainEqual(expect.stringContaining("session list end at 8,600 sessions"));
  expect(quickPlan().operations.sessions).toEqual([1, 1_000]);
});

test("an operator's questions can be a run of their own, or none of it", () => {
  expect(readOptions(["--modes", "operations"], MANY).plan).toMatchObject({ series: [], measuresOperations: true });
  expect(readOptions(["--modes", "churn"], MANY).plan.measuresOperations).toBe(false);
  expect(readOptions([], MANY).plan.measuresOperations).toBe(true);
});

test("the list is flat when each further session costs the same, whatever the first one does", () => {
  const ask = (sessions: number, cpuMs: number) => listed("restyconf-node", sessions, cpuMs);
  const reached = (operations: ReturnType<typeof ask>[]) =>
    judge({ figures: [], idle: {}, operations, unavailable: {} }).find(({ title }) => title.includes("listed session"))
      ?.paths["node"];
  expect(reached([ask(1, 2), ask(1_000, 2 + 9.99), ask(20_000, 2 + 199.99)])).toMatchObject({ met: true });
  expect(reached([ask(1, 2), ask(1_000, 2 + 9.99), ask(20_000, 2 + 999.95)])?.reached?.median).toBeCloseTo(5);
  expect(reached([ask(1, 2), ask(1_000, 12)])?.reached).toBeUndefined();
});

test("a contestant's own modes exist", () => {
  const known = fullPlan(MANY).series.flatMap(({ modes }) => modes.map(({ name }) => name));
  for (const { modes = [] } of contestants) expect(known).toEqual(expect.arrayContaining([...modes]));
});

test("tables line up on the terminal and escape what Markdown would read", () => {
  const table = {
    title: "T",
    head: ["", "a"],
    rows: [
      ["one", "1 | 2"],
      ["three", "–"],
    ],
  };
  expect(asText(table)).toBe("T\n           a\none    1 | 2\nthree      –\n");
  expect(asMarkdown(table)).toBe("|  | a |\n| --- | ---: |\n| one | 1 \\| 2 |\n| three | – |\n");
});

test("a chart has a bar for each value that is there", () => {
  const rows = [
    { name: "a & b", colour: 0, values: [1, undefined] },
    { name: "c", colour: 1, values: [0.5, 2] },
  ];
  const svg = barChart({ title: "t", note: "n", labels: ["x", "y"], rows, line: 1 });
  expect(svg.match(/height="13"/g)).toHaveLength(3);
  expect(svg).toContain("a &amp; b");
  expect(svg).not.toMatch(/NaN|undefined/);
});

test("the report is one page with the charts and samples that it names", () => {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-report-"));
  try {
    writeReport(results, folder);
    const page = readFileSync(join(folder, "benchmarks.md"), "utf8");
    for (const [, path = ""] of page.matchAll(/\]\((benchmarks\/[^)]+)\)/g)) {
      expect(existsSync(join(folder, path)), path).toBe(true);
    }
    expect(page).toContain("| RestyConf node | 2.00 |");
    expect(page).toContain("**Not available: no compiler**");
    expect(page).toContain("RestyConf carrier is not available: no compiler");
    expect(page).toContain("| RestyConf node, session list | 0.50 \\| 1.00 | 12.0 \\| 24.0 |");
    expect(readFileSync(join(folder, "benchmarks/operations.svg"), "utf8")).toContain("session list, 1,000 sessions");
    expect(page).toContain("No figure for RestyConf carrier in reload and session list: 3 of 9 sessions are listed.");
    expect(page).toContain("somaxconn is 128");
    expect(page).toMatch(/churn, with a preread hook \| ≥ 0.42 \| 0.30 \| not reached \| ≥ 1.1 \| – \| not measured/);
    expect(page).toContain("No figure for sslh in churn: 12 connections failed.");
    expect(page).toContain("TLS was not measured");
    expect(page).not.toMatch(/NaN|undefined|\/(?:tmp|home|work)\//);
    expect(JSON.parse(readFileSync(join(folder, "benchmarks/figures.json"), "utf8")).series).toHaveLength(3);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the terminal shows no empty table", () => {
  const titles = terminalTables(results).map(({ title }) => title);
  expect(titles).toContain("Figures to reach");
  expect(titles).toContain("Plain TCP: CPU efficiency, nginx 64K = 1");
  expect(titles).not.toContain("Plain TCP: CPU efficiency, nginx 256K = 1");
  const asked = (operations: typeof results.operations) =>
    terminalTables({ ...results, operations }).some(({ title }) => title.startsWith("Reload and session list"));
  expect([asked(operations), asked([])]).toEqual([true, false]);
});

const figures = [
  ...figuresOf(series, BASES),
  ...figuresOf(
    [
      { contestant: "nginx-64k", mode: "churn", samples: [sample(0, 30)] },
      { contestant: "restyconf-node-hook", mode: "churn", samples: [sample(0, 100)] },
    ],
    BASES,
  ).slice(1),
];
const idle = { "restyconf-node": { baseKb: 50_000, kbPerConnection: 9, connections: 1_000 } };
const operations = [listed("restyconf-node", 1, 0.5), listed("restyconf-node", 1_000, 12)];
const unavailable = { "restyconf-carrier": "no compiler" };

const results = {
  kind: "quick",
  when: "2030-01-02T03:04:05.000Z",
  machine: { cpu: "a CPU", cores: 2, memoryGb: 4, kernel: "6.1.0", versions: { nginx: "1.22.1" } },
  conditions: ["net/core/somaxconn is 128."],
  contestants: [...contestants],
  unavailable,
  modes: fullPlan(MANY)
    .series.flatMap(({ modes }) => modes)
    .filter(({ name }) => name === "churn"),
  gate: { "nginx-64k": [{ check: "echo both ways", claimed: true, fault: undefined }] },
  idle,
  operations,
  figures,
  targets: judge({ figures, idle, operations, unavailable }),
  series,
  faults: [
    { contestant: "sslh", mode: "churn", fault: "12 connections failed" },
    { contestant: "restyconf-carrier", mode: "reload and session list", fault: "3 of 9 sessions are listed" },
  ],
  missing: ["TLS was not measured: OpenSSL's headers (libssl-dev) are not installed.", ...fullPlan(MANY).missing],
};
