// Builds the load generator and the peer with the system's C compiler.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const sources = fileURLToPath(new URL("load", import.meta.url));
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"];
const LOAD = ["load.c", "options.c", "histogram.c", "net.c"];

/** @typedef {{ server: string, load: string, loadTls: string | undefined }} Tools paths; `loadTls` needs OpenSSL's headers */

/**
 * Compiles into `folder`.
 * @param {string} folder
 * @returns {Tools}
 */
export function compileTools(folder) {
  const server = join(folder, "server");
  const load = join(folder, "load");
  const loadTls = join(folder, "load-tls");
  compile(server, ["server.c", "net.c"]);
  compile(load, [...LOAD, "transport-plain.c"]);
  if (!hasOpenssl()) return { server, load, loadTls: undefined };
  compile(loadTls, [...LOAD, "transport-tls.c"], ["-lssl", "-lcrypto"]);
  return { server, load, loadTls };
}

/**
 * @param {string} target
 * @param {readonly string[]} files
 * @param {readonly string[]} [libraries]
 */
function compile(target, files, libraries = []) {
  const paths = files.map((file) => join(sources, file));
  const run = spawnSync("cc", [...FLAGS, ...paths, "-o", target, ...libraries], { encoding: "utf8" });
  if (run.error) throw new Error(`a C compiler (cc) is needed: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`${run.stderr}the load generator does not compile`);
}

function hasOpenssl() {
  const program = "#include <openssl/ssl.h>\nint main(void) { return SSL_CTX_new(TLS_client_method()) == 0; }\n";
  const args = ["-x", "c", "-", "-o", "/dev/null", "-lssl", "-lcrypto"];
  return spawnSync("cc", args, { input: program, stdio: ["pipe", "ignore", "ignore"] }).status === 0;
}
