import type { GatewayConfig } from "../../gateway.ts";
import { overlaps } from "../explain/overlap.ts";
import { endOfNodeLine } from "../node-lines.ts";

/** Keys that are checked, and do nothing yet. This is the one list of them. */
const UNUSED: Readonly<Record<string, (config: GatewayConfig) => boolean>> = {
  admin: ({ admin }) => admin !== undefined,
};

/** What a user should know about a right configuration before it serves. */
export function noticesOf(config: GatewayConfig): readonly string[] {
  const unused = Object.entries(UNUSED).filter(([, isSet]) => isSet(config));
  return [...unused.map(([key]) => `${key}: not used by this version`), ...overlaps(config)];
}

/** The same about the machine. */
export function nodeNotice(version: string, now: Date): string | undefined {
  const end = endOfNodeLine(version, now);
  return end && `Node.js ${version} has had no security fixes since ${end}; use 24`;
}
