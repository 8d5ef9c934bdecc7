// A figure of the carrier must be of the carrier: the gateway says at start which path carries, and is taken at its word.
import { setTimeout as sleep } from "node:timers/promises";

/** @typedef {"node" | "native"} Carrier */

const PATIENCE_MS = 2_000; // the line and the open port come through different pipes
const ASK_AGAIN_MS = 20;

/**
 * Why the gateway that runs is not the one that was asked for.
 * @param {Carrier} asked
 * @param {() => string} said
 * @returns {Promise<string | undefined>}
 */
export async function carrierMisfit(asked, said) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const told = carrierLine(said());
    if (told !== undefined) return misfitOf(asked, told);
    if (asked === "node") return undefined; // the only path of a gateway that says nothing
    if (performance.now() > deadline) return "the gateway does not say that its carrier is native";
    await sleep(ASK_AGAIN_MS);
  }
}

/** @param {Carrier} asked @param {Record<string, unknown>} told */
function misfitOf(asked, { carrier, reason }) {
  if (carrier === asked) return undefined;
  return `the ${carrier} path carries, not ${asked}${typeof reason === "string" ? ` (${reason})` : ""}`;
}

/**
 * The line `{"msg":"carrier","carrier":"native"|"node",…}` among all that was said.
 * @param {string} said
 * @returns {Record<string, unknown> | undefined}
 */
export function carrierLine(said) {
  return said
    .split("\n")
    .map(objectOf)
    .find((line) => line?.msg === "carrier" && typeof line.carrier === "string");
}

/** @param {string} line @returns {Record<string, unknown> | undefined} */
function objectOf(line) {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined; // not every line is JSON
  }
}
