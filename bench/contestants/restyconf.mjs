// RestyConf as it is installed: its command line, with a configuration as data.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { SILENT_MS } from "../lanes.mjs";
import { carrierMisfit } from "./carrier-line.mjs";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/**
 * @param {Pick<import("../contestants.mjs").Contestant, "name" | "title" | "about" | "notes" | "modes">
 *   & { carrier: import("./carrier-line.mjs").Carrier, env?: Record<string, string>, hook?: boolean }} variant `hook`: a preread hook
 *   in JavaScript chooses, for every connection
 * @returns {import("../contestants.mjs").Contestant}
 */
export function restyconf({ carrier, env = {}, hook = false, ...words }) {
  return {
    ...words,
    claims: { halfClose: true, reset: true },
    misfit: (said) => carrierMisfit(carrier, said),
    control: (folder) => join(stateDir(folder), "control.sock"),
    can: () => true,
    programs({ folder, lanes, ports, certificate }) {
      mkdirSync(folder, { recursive: true });
      const config = join(folder, "restyconf.config.json");
      writeFileSync(config, JSON.stringify(gateway({ folder, lanes, ports, certificate, hook }), null, 2));
      if (hook) for (const lane of lanes) writeFileSync(join(folder, hookFile(lane)), hookSource(lane));
      const asked = { RESTYCONF_CARRIER: carrier, ...env };
      const program = { command: process.execPath, args: [cli, "start", config], env: asked, cwd: folder };
      return [{ ...program, ports: Object.values(ports) }];
    },
  };
}

/** @param {Pick<import("../contestants.mjs").Place, "folder" | "lanes" | "ports" | "certificate"> & { hook: boolean }} place */
function gateway({ folder, lanes, ports, certificate, hook }) {
  const peers = [...new Set(lanes.flatMap((lane) => lane.rules.map(({ peer }) => peer)))];
  const server = (/** @type {import("../lanes.mjs").Lane} */ lane) => ({
    listen: `127.0.0.1:${ports[lane.name]}`,
    routes: lane.rules.map(route),
    ...(lane.terminates && { ssl: { mode: "always", certs: certificate.folder, minVersion: "TLSv1.3" } }),
    ...(hook && chosenByHook(lane) && { phases: `./${hookFile(lane)}` }),
  });
  return {
    upstreams: Object.fromEntries(peers.map((peer) => [`p${peer}`, { peers: [`127.0.0.1:${peer}`] }])),
    servers: Object.fromEntries(lanes.map((lane) => [lane.name, server(lane)])),
    stateDir: stateDir(folder),
    // At start the gateway says which path carries; afterwards it says nothing at this level.
    log: { access: false, level: "info" },
  };
}

/** @param {string} folder */
function stateDir(folder) {
  return join(folder, "state");
}

/** @param {import("../lanes.mjs").Rule} rule */
function route({ match, peer }) {
  const action = { proxy: `p${peer}` };
  switch (match.kind) {
    case "silent":
      return { silentMs: SILENT_MS, ...action };
    case "name":
      return { on: "tls", when: { serverName: match.name }, ...action };
    case "prefix":
      return { on: "bytes", when: { prefix: match.prefix }, ...action };
    default:
      return { on: match.kind, ...action };
  }
}

/** @param {import("../lanes.mjs").Lane} lane */
function chosenByHook(lane) {
  return lane.rules.some(({ match }) => match.kind === "mqtt");
}

/** @param {import("../lanes.mjs").Lane} lane */
function hookFile(lane) {
  return `${lane.name}.mjs`;
}

/** Looks at the bytes by itself and answers before any route is asked. @param {import("../lanes.mjs").Lane} lane */
function hookSource(lane) {
  const peer = lane.rules.find(({ match }) => match.kind === "mqtt")?.peer;
  return `export async function preread(session) {
  const { data } = await session.reader.peek(8);
  if (data?.toString("latin1", 4) === "MQTT") return { kind: "proxy", upstream: "p${peer}" };
}
`;
}
