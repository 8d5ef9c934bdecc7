// nginx's stream module. Free nginx knows one protocol by its first bytes, TLS; so a rule is "TLS, or else", and each lane has
// a port of its own. That is as much work as it can be asked for.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/**
 * @param {number} bufferKb `proxy_buffer_size`
 * @returns {import("../contestants.mjs").Contestant}
 */
export function nginx(bufferKb) {
  return {
    name: `nginx-${bufferKb}k`,
    title: `nginx ${bufferKb}K`,
    about: `nginx stream, one worker, proxy_buffer_size ${bufferKb}k, ssl_preread and a map to an upstream; logs off`,
    claims: { halfClose: false, reset: false },
    notes: [
      "Half-close is off by default (`proxy_half_close`): the answer to an upload that ends with FIN is lost.",
      "A reset reaches the other side as an ordinary end.",
    ],
    can: (lane) => lane.rules.every(({ match }) => match.kind !== "prefix"),
    programs({ folder, lanes, ports, certificate, maxConnections }) {
      mkdirSync(join(folder, "logs"), { recursive: true });
      const config = join(folder, "nginx.conf");
      const stream = lanes.map((lane) => laneConfig(lane, ports[lane.name], bufferKb, certificate)).join("");
      writeFileSync(config, main(folder, maxConnections, stream));
      return [{ command: "nginx", args: ["-e", "/dev/null", "-p", folder, "-c", config], ports: Object.values(ports) }];
    },
  };
}

/** @param {string} folder @param {number} maxConnections @param {string} stream */
function main(folder, maxConnections, stream) {
  return `${existsSync(MODULE) ? `load_module ${MODULE};\n` : ""}daemon off;
worker_processes 1;
worker_rlimit_nofile ${2 * maxConnections + 100};
pid ${folder}/nginx.pid;
error_log /dev/null crit;
events { worker_connections ${2 * maxConnections + 100}; }
stream {
  access_log off;
  proxy_timeout 10m;
  map_hash_bucket_size 128;
${stream}}
`;
}

/** @param {import("../lanes.mjs").Lane} lane @param {number} port @param {number} bufferKb @param {import("../contestants.mjs").Certificate} certificate */
function laneConfig(lane, port, bufferKb, certificate) {
  const id = lane.name.replaceAll("-", "_");
  const last = lane.rules.at(-1);
  if (last === undefined) throw new Error("a lane without rules");
  const listen = `listen 127.0.0.1:${port} backlog=16384${lane.terminates ? " ssl" : ""};`;
  const buffer = `proxy_buffer_size ${bufferKb}k;`;
  if (lane.terminates || last.match.kind === "silent") {
    const tls = lane.terminates ? tlsLines(certificate) : "";
    return `  server { ${listen} ${buffer} ${tls}proxy_pass 127.0.0.1:${last.peer}; }\n`;
  }
  const upstreams = lane.rules.map(({ peer }, at) => `  upstream ${id}_${at} { server 127.0.0.1:${peer}; }\n`);
  const entries = lane.rules.map(({ match }, at) => mapEntry(match, `${id}_${at}`));
  const source = last.match.kind === "name" ? "$ssl_preread_server_name" : "$ssl_preread_protocol";
  return `${upstreams.join("")}  map ${source} $${id} { ${entries.join(" ")} }
  server { ${listen} ${buffer} ssl_preread on; proxy_pass $${id}; }
`;
}

/** @param {import("../lanes.mjs").Match} match @param {string} upstream */
function mapEntry(match, upstream) {
  if (match.kind === "name") return `${match.name} ${upstream};`;
  return match.kind === "tls" ? `~TLS ${upstream};` : `default ${upstream};`;
}

/** @param {import("../contestants.mjs").Certificate} certificate */
function tlsLines({ chain, key }) {
  return (
    `ssl_certificate ${chain}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; ` +
    "ssl_session_cache off; ssl_session_tickets on; "
  );
}
