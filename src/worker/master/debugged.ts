import process from "node:process";

/** For limits: a process that runs under a debugger may stand still for as long as it likes. Workers are started with the options of their master. */
export function isDebugged(): boolean {
  const options = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].join(" ");
  return options.includes("--inspect");
}
