import { randomUUID } from "node:crypto";
import { type RedisLink, redisScript } from "../redis/redis-link.ts";
import { INTERNAL } from "../redis/registry-key.ts";

/** Nodes of a Cluster lose their data one by one; among so many marks each of a few nodes has some. */
const CLUSTER_MARKS = 16;

/** Whoever holds a number hears here that it should be renewed at once. */
const CHANNEL = "ids";

/** What Redis remembers of itself. */
export interface Memory {
  /** Another one: Redis has lost keys in between, or may have. */
  readonly mark: string;
  /** So long nobody may take a number: those that live are to put theirs again first. 0: now. */
  readonly doubtMs: number;
}

/**
 * Looks whether Redis still knows whose numbers are whose. The mark is gone when its data is, and bears the name of the process
 * that wrote it: one that was restarted, or a replica that became the master, may lack the last leases though it has the mark.
 * Then holders are told to renew, and nobody takes a number for a while. Nothing to wait for: a Redis that has been there for
 * so long already, and has no holder.
 */
const LOOK = redisScript(`
local said = redis.pcall('INFO', 'server')
local info = type(said) == 'string' and said or ''
local run = (string.match(info, 'run_id:(%w+)') or '') .. '.'
local mark = redis.pcall('GET', KEYS[1])
local isKnown = type(mark) == 'string'
if not isKnown or string.find(mark, run, 1, true) ~= 1 then
  local doubt = tonumber(ARGV[2])
  local heard = redis.call('PUBLISH', ARGV[3], 'renew')
  local up = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or 0)
  if not isKnown and heard == 0 and ARGV[4] == '1' then doubt = doubt - (up - 1) * 1000 end
  mark = run .. ARGV[1]
  redis.call('SET', KEYS[1], mark)
  if doubt > 0 then redis.call('SET', KEYS[2], '', 'PX', math.min(doubt, tonumber(ARGV[2]))) end
end
return { mark, redis.call('PTTL', KEYS[2]) }`);

/** Tells when Redis cannot know which numbers are held. */
export class Marks {
  readonly #link: RedisLink;
  readonly #settleMs: number;
  #leave: (() => void) | undefined;

  /** `settleMs`: within this time all who live are back at a Redis that was away. */
  constructor(link: RedisLink, settleMs: number) {
    this.#link = link;
    this.#settleMs = settleMs;
  }

  /** Rejects with `RC_REGISTRY`. */
  async look(): Promise<Memory> {
    const marks = this.#link.isSharded ? CLUSTER_MARKS : 1;
    const seen = await Promise.all(Array.from({ length: marks }, (_, number) => this.#lookAt(number)));
    return { mark: seen.map(({ mark }) => mark).join(), doubtMs: Math.max(...seen.map(({ doubtMs }) => doubtMs)) };
  }

  /** From now on this process is one of those whom a newcomer waits for. */
  hear(onRenew: () => void): void {
    this.#leave ??= this.#link.subscribe(CHANNEL, onRenew);
  }

  close(): void {
    this.#leave?.();
  }

  async #lookAt(number: number): Promise<Memory> {
    const key = `${INTERNAL}ids:{${number}}`; // in a Cluster the second key must be beside the first
    const isAlone = this.#link.isSharded ? 0 : 1; // a node of a Cluster counts its own hearers only
    const values = [randomUUID(), this.#settleMs, this.#link.prefix + CHANNEL, isAlone];
    const answer = await this.#link.run(LOOK, [key, `${key}:doubt`], values);
    const [mark, leftMs]: readonly unknown[] = Array.isArray(answer) ? answer : [];
    return { mark: String(mark), doubtMs: Math.max(0, Number(leftMs)) };
  }
}
