// Memory per connection that does nothing, in a contestant that has just started.
import { setTimeout as sleep } from "node:timers/promises";
import { residentKb } from "./cpu.mjs";
import { runLoad } from "./load.mjs";

const WARM_UP = { mode: "ping", connections: 50, size: 64, warmMs: 0, windowMs: 200 }; // code and heap have their size then
const CALM_MS = 200;

/**
 * @typedef {{ baseKb: number, kbPerConnection: number, connections: number }} Idle
 * @param {{ processes: import("./processes.mjs").Processes, tools: import("./compile.mjs").Tools }} bench
 * @param {import("./field.mjs").Entrant} entrant
 * @param {{ connections: number, settleMs: number }} plan
 * @returns {Promise<Idle>}
 */
export async function idle({ processes, tools }, entrant, { connections, settleMs }) {
  const lane = entrant.lanes.echo;
  const target = { tool: tools.load, port: lane.port, opening: lane.opening };
  await runLoad(processes, { ...target, ...WARM_UP });
  await sleep(CALM_MS);
  const baseKb = residentKb(entrant.pids);
  let heldKb = baseKb;
  const onEnd = () => {
    heldKb = residentKb(entrant.pids);
  };
  await runLoad(processes, { ...target, mode: "hold", connections, warmMs: 0, windowMs: settleMs }, { onEnd });
  return { baseKb, kbPerConnection: (heldKb - baseKb) / connections, connections };
}
