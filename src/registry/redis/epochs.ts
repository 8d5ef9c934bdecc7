import { createHash, randomUUID } from "node:crypto";
import type { RedisLog } from "./open-redis.ts";
import { type RedisLink, redisScript } from "./redis-link.ts";
import { INTERNAL } from "./registry-key.ts";

/** Nodes of a Cluster lose their data one by one; among so many marks each of a few nodes has some. */
const CLUSTER_MARKS = 16;

/**
 * A mark, which goes with the data, and which process of Redis answers: one that was restarted from its disk, or a replica that is to
 * be the master, has the mark and may lack what came last. A replica without it takes none: it has other data for sure.
 */
const MARK = redisScript(`
local mark = redis.call('GET', KEYS[1])
if not mark then
  local set = redis.pcall('SET', KEYS[1], ARGV[1])
  mark = set.ok and ARGV[1] or ''
end
local said = redis.pcall('INFO', 'server')
return { mark, type(said) == 'string' and string.match(said, 'run_id:(%w+)') or '' }`);

/** What a Redis is known by, `<marks>,<run>`, for one process. */
export class Epochs {
  readonly #link: RedisLink;
  readonly #log: RedisLog;
  #isBlindTold = false;

  constructor(link: RedisLink, log: RedisLog) {
    this.#link = link;
    this.#log = log;
  }

  /** Marks that are gone, or others, tell that Redis has lost what it held; other processes, that it may hold what was before. */
  async now(): Promise<string> {
    const answers = await Promise.all(this.#names.map((name) => this.#link.run(MARK, [name], [randomUUID()])));
    const pairs = answers.map((answer) => (Array.isArray(answer) ? answer.map(String) : []));
    const runs = pairs.map(([, run = ""]) => run);
    const isBlind = runs.includes("");
    if (isBlind) this.#tellBlind();
    return `${digestOf(pairs.map(([mark]) => mark))},${isBlind ? "" : digestOf(runs)}`;
  }

  /** True: Redis has not lost its data since. Whether it was restarted would show in a lost connection. */
  async isStill(epoch: string): Promise<boolean> {
    const marks = await Promise.all(this.#names.map((name) => this.#link.send("GET", name)));
    return digestOf(marks.map((mark) => (typeof mark === "string" ? mark : undefined))) === marksOf(epoch);
  }

  get #names(): readonly string[] {
    const length = this.#link.isSharded ? CLUSTER_MARKS : 1;
    return Array.from({ length }, (_, mark) => `${INTERNAL}epoch:${mark}`);
  }

  #tellBlind(): void {
    if (this.#isBlindTold) return;
    this.#isBlindTold = true;
    this.#log.warn("redis does not say whether it was restarted: +info is missing in its ACL");
  }
}

/** What has become of Redis' data from one epoch to another: nothing, all is gone, or it may be older than what was there. */
export function changeOf(before: string | undefined, epoch: string | undefined): "none" | "emptied" | "older" {
  if (before === undefined || epoch === undefined || before === epoch) return "none";
  if (marksOf(epoch) !== marksOf(before)) return "emptied";
  return runOf(before) && runOf(epoch) ? "older" : "none"; // who may not ask cannot tell
}

/** What is known after another look, maybe by somebody who could not see all: then the run that was known is not forgotten. */
export function epochAfter(before: string | undefined, epoch: string | undefined): string | undefined {
  if (before === undefined || epoch === undefined) return epoch ?? before;
  return marksOf(epoch) === marksOf(before) && !runOf(epoch) ? before : epoch;
}

/** True where it is not known which process of Redis it was. */
export function isBlind(epoch: string): boolean {
  return !runOf(epoch);
}

function marksOf(epoch: string): string | undefined {
  return epoch.split(",")[0];
}

function runOf(epoch: string): string | undefined {
  return epoch.split(",")[1];
}

function digestOf(marks: readonly (string | undefined)[]): string {
  return createHash("sha1").update(marks.join()).digest("base64url");
}
