// HAProxy in TCP mode, which may splice where it finds that worth while.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SILENT_MS } from "../lanes.mjs";

const MAX_PIPES = 256; // for splicing; each takes two of the files that the system allows

/** @returns {import("../contestants.mjs").Contestant} */
export function haproxy() {
  return {
    name: "haproxy",
    title: "HAProxy splice",
    about:
      "HAProxy tcp mode, one thread, option splice-auto, tune.bufsize 65536, tcp-request inspect-delay with req.payload and req.ssl_sni; logs off",
    claims: { halfClose: true, reset: false },
    notes: ["A reset by the server reaches the client as an ordinary end."],
    can: () => true,
    programs({ folder, lanes, ports, certificate, maxConnections }) {
      const config = join(folder, "haproxy.cfg");
      const parts = lanes.map((lane) => laneConfig(lane, ports[lane.name], certificate));
      writeFileSync(config, `${main(maxConnections)}${parts.join("")}`);
      return [{ command: "haproxy", args: ["-db", "-q", "-f", config], ports: Object.values(ports) }];
    },
  };
}

/** @param {number} maxConnections */
function main(maxConnections) {
  return `global
  nbthread 1
  maxconn ${maxConnections}
  maxpipes ${MAX_PIPES}
  tune.bufsize 65536
  tune.pipesize 1048576
  tune.ssl.cachesize 0
defaults
  mode tcp
  maxconn ${maxConnections}
  backlog 16384
  option splice-auto
  timeout connect 5s
  timeout client 10m
  timeout server 10m
`;
}

/** @param {import("../lanes.mjs").Lane} lane @param {number} port @param {import("../contestants.mjs").Certificate} certificate */
function laneConfig(lane, port, certificate) {
  const tls = lane.terminates ? ` ssl crt ${certificate.combined} ssl-min-ver TLSv1.3 curves X25519` : "";
  const backends = lane.rules.map(({ peer }, at) => `backend ${lane.name}-${at}\n  server peer 127.0.0.1:${peer}\n`);
  return `frontend ${lane.name}\n  bind 127.0.0.1:${port}${tls}\n${inspection(lane)}${backends.join("")}`;
}

/** How the first bytes decide. @param {import("../lanes.mjs").Lane} lane */
function inspection({ name, rules }) {
  if (rules.some(({ match }) => match.kind === "silent")) {
    const lines = [`inspect-delay ${SILENT_MS}ms`, "content accept if { req.len gt 0 }"];
    return `${lines.map((line) => `  tcp-request ${line}\n`).join("")}  default_backend ${name}-0\n`;
  }
  const accepts = rules.map(({ match }) => `  tcp-request content accept if ${condition(match)}\n`);
  const uses = rules.map(({ match }, at) => `  use_backend ${name}-${at} if ${condition(match)}\n`);
  return `  tcp-request inspect-delay 5s\n${accepts.join("")}${uses.join("")}`;
}

/** @param {import("../lanes.mjs").Match} match */
function condition(match) {
  switch (match.kind) {
    case "tls":
      return "{ req.ssl_hello_type 1 }";
    case "mqtt":
      return "{ req.payload(4,4) -m str MQTT }";
    case "name":
      return `{ req.ssl_sni -i ${match.name} }`;
    case "prefix":
      return `{ req.payload(0,${match.prefix.length}) -m str ${match.prefix} }`;
    default:
      throw new Error(`HAProxy has no condition for ${match.kind}`);
  }
}
