// Who takes part. A new contestant is one more entry here.
import { direct } from "./contestants/direct.mjs";
import { haproxy } from "./contestants/haproxy.mjs";
import { nginx } from "./contestants/nginx.mjs";
import { restyconf } from "./contestants/restyconf.mjs";
import { sslh } from "./contestants/sslh.mjs";

/**
 * @typedef {{ chain: string, key: string, combined: string, folder: string }} Certificate paths of PEM files
 * @typedef {{ folder: string, lanes: readonly import("./lanes.mjs").Lane[], ports: Record<string, number>,
 *   certificate: Certificate, maxConnections: number }} Place where a contestant is set up; `ports` by the name of the lane
 * @typedef {import("./processes.mjs").Program & { ports: readonly number[] }} ContestantProgram
 * @typedef {object} Contestant
 * @property {string} name as in the figures
 * @property {string} title as in tables
 * @property {string} about what exactly runs, for the report
 * @property {boolean} [isPeer] no proxy: clients go straight to the server behind
 * @property {{ halfClose: boolean, reset: boolean }} claims what it says it can beyond the job itself; the gate holds it to that
 * @property {readonly string[]} [notes] what a reader must know
 * @property {number} [maxConnections]
 * @property {readonly string[]} [modes] names of the only modes it runs in; absent: all that it can
 * @property {(lane: import("./lanes.mjs").Lane) => boolean} can
 * @property {(place: Place) => ContestantProgram[]} programs writes its configuration and says what to start
 * @property {(folder: string) => string} [control] path of the socket where an operator asks it; absent: it has none to compare
 * @property {(said: () => string) => Promise<string | undefined>} [misfit] asked once it listens, with all that its programs
 *   have said: why what runs is not what is to be measured
 */

/** All ratios are against this one, measured in the same round. */
export const BASE = "nginx-64k";

/** Bulk is compared with this one as well: larger buffers are its best case. */
export const WIDE_BASE = "nginx-256k";

/** Where the way to wait may matter: TLS is Node's on either. */
const RING_MODES = [
  ...["bulk-up", "bulk-down", "ping-64", "ping-1k", "ping-16k", "ping-64-c1", "ping-1k-c1", "ping-16k-c1", "churn"],
  ...["ping-at-10", "ping-at-100", "ping-at-1000", "churn-at-10", "churn-at-1000"],
];

const HOOK = {
  hook: true,
  modes: ["churn", "ping-64"],
  about: "the same, with a preread hook in JavaScript that looks at the bytes and chooses, for every connection",
};

/** @type {readonly Contestant[]} */
export const contestants = [
  direct(),
  nginx(64),
  nginx(256),
  haproxy(),
  sslh(),
  restyconf({
    name: "restyconf-node",
    title: "RestyConf node",
    about: "RestyConf on the node path, one process, routes by tls() and mqtt(); access log off",
    carrier: "node",
  }),
  restyconf({ ...HOOK, name: "restyconf-node-hook", title: "RestyConf node, hook", carrier: "node" }),
  restyconf({
    name: "restyconf-carrier",
    title: "RestyConf carrier",
    about: "RestyConf with its native carrier, which waits by epoll, one process, the same routes; access log off",
    notes: ["TLS is terminated by node:tls on either path: in the TLS modes the carrier only accepts."],
    carrier: "native",
    env: { RESTYCONF_ENGINE: "epoll" },
  }),
  restyconf({
    ...HOOK,
    name: "restyconf-carrier-hook",
    title: "RestyConf carrier, hook",
    carrier: "native",
    env: { RESTYCONF_ENGINE: "epoll" },
  }),
  restyconf({
    name: "restyconf-ring",
    title: "RestyConf io_uring",
    about: "the same carrier, which moves messages by io_uring, as it does by default where the kernel allows it",
    carrier: "native",
    env: { RESTYCONF_ENGINE: "io_uring" },
    modes: RING_MODES,
  }),
  restyconf({
    ...HOOK,
    name: "restyconf-ring-hook",
    title: "RestyConf io_uring, hook",
    carrier: "native",
    env: { RESTYCONF_ENGINE: "io_uring" },
  }),
];
