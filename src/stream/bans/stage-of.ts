import type { Connection } from "../connection.ts";
import { type Stage, stages } from "../limits/limit-key.ts";

/** How far a session has come at this moment, as its keys are asked for by others than its own way. */
export function stageOf({ isDecided, phase }: Pick<Connection, "isDecided" | "phase">): Stage {
  return isDecided && phase !== "preread" ? stages.routed : stages.hello;
}
