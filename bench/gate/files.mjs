// Checks that a contestant gives back the files of its connections.
import { setTimeout as sleep } from "node:timers/promises";
import { openFiles } from "../cpu.mjs";
import { withClient } from "./client.mjs";

const CONNECTIONS = 60; // at once; half of them end with a reset
const CALM_MS = 300; // without a change
const PATIENCE_MS = 6_000;
const ASK_AGAIN_MS = 50;

/** The number of open files once it has not changed for a moment. @param {readonly number[]} pids */
export async function settledFiles(pids) {
  const deadline = performance.now() + PATIENCE_MS;
  let count = openFiles(pids);
  let since = performance.now();
  while (performance.now() - since < CALM_MS && performance.now() < deadline) {
    await sleep(ASK_AGAIN_MS);
    const now = openFiles(pids);
    if (now !== count) since = performance.now();
    count = now;
  }
  return count;
}

/** Connections that end in either way, all at once; whether each is served is asked elsewhere. @param {import("../field.mjs").OpenLane} lane */
export async function comeAndGo(lane) {
  const visits = Array.from({ length: CONNECTIONS }, (_, at) =>
    withClient(lane, async ({ socket }) => {
      if (at % 2 === 0) socket.resetAndDestroy();
    }),
  );
  await Promise.allSettled(visits);
}

/**
 * @param {readonly number[]} pids
 * @param {number} before
 */
export async function filesComeBack(pids, before) {
  const deadline = performance.now() + PATIENCE_MS;
  while (openFiles(pids) > before) {
    if (performance.now() > deadline) throw new Error(`${openFiles(pids)} open files, ${before} before`);
    await sleep(ASK_AGAIN_MS);
  }
}
