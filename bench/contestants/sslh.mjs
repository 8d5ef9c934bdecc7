// sslh, in the variant that serves all clients in one process. It has one list of protocols, so each lane is a process.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** select() sees 1,024 files, and a session has two. */
const MAX_CONNECTIONS = 480;

/** @returns {import("../contestants.mjs").Contestant} */
export function sslh() {
  return {
    name: "sslh",
    title: "sslh",
    about: "sslh-select, tls and regex probes, one process per lane; logs off",
    claims: { halfClose: false, reset: false },
    notes: [
      `It serves ${MAX_CONNECTIONS} connections at most (select), and does not terminate TLS.`,
      "It ends both directions as soon as one has ended, and a reset reaches the other side as an ordinary end.",
      "Under churn it drops about one connection in a hundred: a new socket takes the number of one that closed in the same round of select.",
    ],
    maxConnections: MAX_CONNECTIONS,
    can: (lane) => !lane.terminates,
    programs: ({ folder, lanes, ports }) =>
      lanes.map((lane) => {
        mkdirSync(folder, { recursive: true });
        const config = join(folder, `${lane.name}.cfg`);
        writeFileSync(config, laneConfig(lane, ports[lane.name]));
        return { command: "sslh-select", args: [`-F${config}`, "-f"], ports: [ports[lane.name]] };
      }),
  };
}

/** @param {import("../lanes.mjs").Lane} lane @param {number} port */
function laneConfig(lane, port) {
  const silent = lane.rules.some(({ match }) => match.kind === "silent");
  const protocols = lane.rules.map(({ match, peer }) => {
    return `  { ${probe(match)} host: "127.0.0.1"; port: "${peer}"; log_level: 0; }`;
  });
  return `foreground: true;
inetd: false;
numeric: true;
transparent: false;
timeout: ${silent ? 1 : 5};
listen: ( { host: "127.0.0.1"; port: "${port}"; } );
protocols: (
${protocols.join(",\n")}
);
${silent ? 'on-timeout: "anyprot";\n' : ""}`;
}

/** @param {import("../lanes.mjs").Match} match */
function probe(match) {
  switch (match.kind) {
    case "tls":
      return 'name: "tls";';
    case "mqtt":
      // A dot does not match the byte 0 here, a class does.
      return 'name: "regex"; regex_patterns: [ "^\\x10[^a][^a]\\x04MQTT" ];';
    case "name":
      return `name: "tls"; sni_hostnames: [ "${match.name}" ];`;
    case "prefix":
      return `name: "regex"; regex_patterns: [ "^${match.prefix}" ];`;
    default:
      return 'name: "anyprot";';
  }
}
