import { createHash } from "node:crypto";
import process from "node:process";
import { WorkerEvents } from "../../../src/shared/events/events.ts";
import type { EventDelivery } from "../../../src/shared/events/message.ts";

// A worker whose events go through its IPC channel. It publishes, and tells in which order it saw everything.

export interface EventsTask {
  readonly number: number;
  readonly rounds: number;
  readonly workers: number;
}

const { task } = JSON.parse(process.argv[2] ?? "{}") as { task: EventsTask };

const events = new WorkerEvents({
  number: task.number,
  transport: {
    send: (messages, done) => void process.send?.(messages, done),
    onMessage: (listener) => void process.on("message", (delivery: EventDelivery) => listener(delivery)),
  },
});

const order = createHash("sha1");
const joined = new Set<unknown>();
let [seen, sum] = [0, 0];

/** The last round that was seen of each worker. */
const latest = Array.from({ length: task.workers }, () => 0);
/** So many rounds may one be ahead of the last: more would be kept for who stands still than the relay keeps. */
const AHEAD = 1_000;

/** In portions, as fast as the channel takes them. */
async function publishAll(): Promise<void> {
  for (let round = 0; round < task.rounds; ) {
    if (round - Math.min(...latest) > AHEAD) await new Promise((resolve) => setImmediate(resolve));
    else if (events.publish("all", "number", { number: task.number, round }).ok) round++;
    if (round % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

events.subscribe("number", (data) => {
  seen++;
  const { number, round } = data as { number: number; round: number };
  latest[number] = round;
  sum += round;
  order.update(JSON.stringify(data));
  if (seen < task.rounds * task.workers) return;
  process.send?.({ sum, order: order.digest("hex"), lost: events.counts().lost }, () => process.disconnect());
});
events.subscribe("here", (number) => {
  if (joined.size === 0) void publishAll();
  joined.add(number);
});
process.send?.("ready");
