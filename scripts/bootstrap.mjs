// Makes a fresh clone ready: `npm start` and `npm test` run this first, with nothing there but Node and npm.
// Everything it says goes to stderr; when nothing is to do it says nothing. Only Node's own modules are imported at the
// top, so that the first check speaks on old Nodes too.
import process from "node:process";

const OLDEST_NODE = [20, 19, 0]; // as in package.json `engines`

requireNode();
const { installPackages } = await import("./packages.mjs");
const { build, isBuilt } = await import("./build.mjs");
const { buildCarrier, isCarrierBuilt } = await import("./carrier.mjs");
const { installPrograms } = await import("./programs.mjs");

try {
  installPackages();
  if (!isBuilt()) build();
  if (process.argv.includes("--tests")) installPrograms(); // among them the compiler
  if (!isCarrierBuilt()) tryCarrier();
} catch (cause) {
  process.stderr.write(`${cause.message}\n`);
  process.exitCode = 1;
}

/** A compiler may be there and not work, for want of the system's headers: that is as good as none. `npm run build` is stricter. */
function tryCarrier() {
  try {
    buildCarrier();
  } catch (cause) {
    process.stderr.write(`${cause.message}: the gateway will take the node path\n`);
  }
}

function requireNode() {
  const found = process.versions.node.split(".").map(Number);
  const at = OLDEST_NODE.findIndex((part, index) => part !== found[index]);
  if (at === -1 || found[at] > OLDEST_NODE[at]) return;
  process.stderr.write(
    `RestyConf needs Node.js ${OLDEST_NODE.join(".")} or newer (24 is best); this is ${process.version}, ${process.execPath}\n`,
  );
  process.exit(1);
}
