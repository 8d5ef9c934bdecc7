// The figures to reach, and whether a run reached them. Aims are written down before they are measured, and stay as they are.

/**
 * @typedef {keyof typeof PATHS} Path
 * @typedef {{ figures: readonly import("./figures.mjs").Figure[], idle: Record<string, import("./idle.mjs").Idle>,
 *   operations: readonly import("./operate.mjs").Operation[], unavailable: Record<string, string> }} Run
 * @typedef {import("./figures.mjs").Range} Range
 */

/**
 * @typedef {object} Target
 * @property {string} title
 * @property {boolean} [atMost] the aim is the largest value that is good; absent: the smallest
 * @property {Record<Path, number>} aims
 * @property {boolean} [hook] measured with a preread hook
 * @property {(run: Run, contestant: string) => Range | undefined} value
 */

/**
 * @typedef {{ contestant: string, aim: number, reached: Range | undefined, met: boolean | undefined,
 *   unavailable?: string }} Reached `met` is undefined where nothing was measured
 * @typedef {{ title: string, atMost: boolean, paths: Record<string, Reached>, peers: Record<string, Range | undefined> }} Verdict
 */

/** Who stands for a path. Another engine of the carrier is one more entry, and one more number in each aim. */
export const PATHS = {
  node: { title: "node path", contestant: "restyconf-node" },
  carrier: { title: "carrier, epoll", contestant: "restyconf-carrier" },
  ring: { title: "carrier, io_uring", contestant: "restyconf-ring" },
};

const paths = /** @type {Path[]} */ (Object.keys(PATHS));

/** Whose figures stand beside. */
export const BESIDE = ["haproxy", "sslh"];

/** What varies by less is called flat: the noise of churn. */
export const FLAT = 1.2;

/** @type {readonly Target[]} */
const TARGETS = [
  ratioOf("bulk up", "bulk-up", { node: 0.95, carrier: 2, ring: 2 }),
  ratioOf("bulk down", "bulk-down", { node: 0.95, carrier: 2, ring: 2 }),
  wideRatioOf("bulk up, nginx 256K = 1", "bulk-up", { node: 0.7, carrier: 1.5, ring: 1.5 }),
  wideRatioOf("bulk down, nginx 256K = 1", "bulk-down", { node: 0.7, carrier: 1.5, ring: 1.5 }),
  ratioOf("ping-pong 64 B", "ping-64", { node: 0.72, carrier: 1.05, ring: 1.25 }),
  ratioOf("ping-pong 64 B, one connection", "ping-64-c1", { node: 0.72, carrier: 1.05, ring: 1.25 }),
  ratioOf("ping-pong 16 KiB", "ping-16k", { node: 0.7, carrier: 1.08, ring: 1.15 }),
  ratioOf("ping-pong 16 KiB, one connection", "ping-16k-c1", { node: 0.7, carrier: 1.08, ring: 1.15 }),
  { ...ratioOf("churn, with a preread hook", "churn", { node: 0.42, carrier: 1.1, ring: 1.25 }), hook: true },
  {
    title: "p99, ping-pong 64 B, nginx 64K = 1",
    atMost: true,
    aims: { node: 1.3, carrier: 1, ring: 1 },
    value: (run, contestant) => figureOf(run, contestant, "ping-64")?.p99Ratio,
  },
  {
    title: "idle memory per connection, KB",
    atMost: true,
    aims: { node: 9, carrier: 1, ring: 1 },
    value: ({ idle }, contestant) => exactly(idle[contestant]?.kbPerConnection),
  },
  {
    title: "cost of a session beside the most (counting, idle timeout), beside 10 = 1",
    atMost: true,
    aims: { node: FLAT, carrier: FLAT, ring: FLAT },
    value: growthOf,
  },
  {
    title: "CPU of a listed session at the most sessions, at 1,000 = 1",
    atMost: true,
    aims: { node: FLAT, carrier: FLAT, ring: FLAT },
    value: listingOf,
  },
];

/** @param {string} title @param {string} mode @param {Record<Path, number>} aims @returns {Target} */
function ratioOf(title, mode, aims) {
  return { title, aims, value: (run, contestant) => figureOf(run, contestant, mode)?.cpuRatio };
}

/** @param {string} title @param {string} mode @param {Record<Path, number>} aims @returns {Target} */
function wideRatioOf(title, mode, aims) {
  return { title, aims, value: (run, contestant) => figureOf(run, contestant, mode)?.wideRatio };
}

/** @param {Run} run @param {string} contestant @param {string} mode */
function figureOf({ figures }, contestant, mode) {
  return figures.find((one) => one.contestant === contestant && one.mode === mode);
}

/** CPU time of churn beside the most connections that were held, against that beside 10. @type {Target["value"]} */
function growthOf({ figures }, contestant) {
  const steps = figures.flatMap(({ contestant: name, mode, cpuNsPerUnit }) => {
    const held = Number(/^churn-at-(\d+)$/.exec(mode)?.[1]);
    return name === contestant && !Number.isNaN(held) ? [{ held, cpuNsPerUnit }] : [];
  });
  const [few, ...more] = steps.toSorted((a, b) => a.held - b.held);
  const many = more.at(-1);
  return many && few?.held === 10 ? exactly(many.cpuNsPerUnit.median / few.cpuNsPerUnit.median) : undefined;
}

/** CPU time that each further session adds to the list, at the most sessions against that at 1,000. @type {Target["value"]} */
function listingOf({ operations }, contestant) {
  const lists = operations.filter((one) => one.contestant === contestant && one.operation === "list");
  const alone = lists.find(({ sessions }) => sessions === 1);
  const few = lists.find(({ sessions }) => sessions === 1_000);
  const many = lists.toSorted((a, b) => a.sessions - b.sessions).at(-1);
  if (alone === undefined || few === undefined || many === undefined || many === few) return undefined;
  const added = (/** @type {typeof few} */ { sessions, cpuNs }) => (cpuNs.median - alone.cpuNs.median) / (sessions - 1);
  return added(few) > 0 ? exactly(added(many) / added(few)) : undefined;
}

/** @param {number | undefined} value @returns {Range | undefined} */
function exactly(value) {
  return value === undefined ? undefined : { median: value, min: value, max: value };
}

/** Holds a run to the aims; medians count. @param {Run} run @returns {Verdict[]} */
export function judge(run) {
  return TARGETS.map((target) => ({
    title: target.title,
    atMost: target.atMost ?? false,
    paths: Object.fromEntries(paths.map((path) => [path, reachedBy(run, target, path)])),
    peers: Object.fromEntries(BESIDE.map((name) => [name, target.value(run, name)])),
  }));
}

/** @param {Run} run @param {Target} target @param {Path} path @returns {Reached} */
function reachedBy(run, target, path) {
  const contestant = `${PATHS[path].contestant}${target.hook ? "-hook" : ""}`;
  const aim = target.aims[path];
  const reached = target.value(run, contestant);
  const unavailable = run.unavailable[contestant];
  return {
    contestant,
    aim,
    reached,
    met: reached && isMet(target, reached.median, aim),
    ...(unavailable && { unavailable }),
  };
}

/** @param {Target} target @param {number} value @param {number} aim */
function isMet({ atMost }, value, aim) {
  const rounded = Number(value.toFixed(2)); // as it is shown
  return atMost ? rounded <= aim : rounded >= aim;
}
