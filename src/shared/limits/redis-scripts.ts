import { createHash } from "node:crypto";

/** A program of Redis, known by its text. */
export interface LimitScript {
  readonly lua: string;
  readonly sha1: string;
}

/** What limiters need of Redis: to run a program there. The registry's connection is one. */
export interface RedisScripts {
  /** Rejects when Redis is away. Sends the program whole only where Redis does not know it. */
  run(script: LimitScript, keys: readonly string[], values?: readonly (string | number)[]): Promise<unknown>;
}

/** What is used of a client like ioredis. */
export interface RedisClient {
  evalsha(sha1: string, keys: number, ...words: (string | number)[]): Promise<unknown>;
  eval(lua: string, keys: number, ...words: (string | number)[]): Promise<unknown>;
}

/** Makes the limiters' connection out of a client like ioredis; `prefix` stands in front of every key. */
export function redisScripts(client: RedisClient, { prefix = "restyconf:" } = {}): RedisScripts {
  return {
    async run(script, keys, values = []) {
      const words = [...keys.map((key) => prefix + key), ...values];
      try {
        return await client.evalsha(script.sha1, keys.length, ...words);
      } catch (cause) {
        if (!(cause instanceof Error && cause.message.startsWith("NOSCRIPT"))) throw cause;
        return await client.eval(script.lua, keys.length, ...words);
      }
    },
  };
}

// Times are those of Redis, in milliseconds: one clock for all gateways. Fractions go as text, since Redis cuts numbers off.
// That clock can be set back, or a replica's takes over that is behind: a kept time that no program could have written at this
// moment is then set to the latest that it could have. Else nobody would be let in for as long as the clock went back.
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000`;

const script = (body: string): LimitScript => {
  const lua = `${NOW}\n${body.trim()}\n`;
  return { lua, sha1: createHash("sha1").update(lua).digest("hex") };
};

/** `leak` of limit-req.ts. Values: rate, burst, then `commit`, `look` or `uncommit`. */
export const REQ: LimitScript = script(`
local step, burst = 1000 / ARGV[1], tonumber(ARGV[2])
local kept = redis.call('GET', KEYS[1])
local empty_at = kept and tonumber(kept)
if kept and not empty_at then return {'abused'} end
local function keep(at)
  redis.call('SET', KEYS[1], string.format('%.17g', at), 'PX', math.ceil(math.max(at - now, 0) + step))
end
if empty_at and empty_at > now + burst * step + 1 then
  empty_at = now + burst * step
  keep(empty_at)
end
if ARGV[3] == 'uncommit' then
  if not empty_at then return {'nothing'} end
  keep(empty_at - step)
  return {'ok'}
end
local next = now
if empty_at and empty_at + step > now then next = empty_at + step end
local excess = (next - now) / step
if excess > burst + 1e-6 then return {'rejected'} end
if ARGV[3] == 'commit' then keep(next) end
return {'ok', string.format('%.17g', next - now), math.max(math.floor(burst - excess + 1e-6), 0)}`);

/** `limitCount`. Values: limit, window, then `commit`, `look`, `uncommit` or `ttl`. */
export const COUNT: LimitScript = script(`
local kept = redis.call('GET', KEYS[1])
if kept and not tonumber(kept) then return {'abused'} end
local left = kept and redis.call('PTTL', KEYS[1]) or 0
if left > tonumber(ARGV[2]) then
  left = tonumber(ARGV[2])
  redis.call('PEXPIRE', KEYS[1], left)
end
if ARGV[3] == 'ttl' then return {'ok', left} end
if ARGV[3] == 'uncommit' then
  if not kept then return {'nothing'} end
  return {'ok', redis.call('INCR', KEYS[1])}
end
if ARGV[3] == 'look' then return {'ok', (tonumber(kept) or tonumber(ARGV[1])) - 1} end
if kept then return {'ok', redis.call('DECR', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1] - 1, 'PX', ARGV[2])
return {'ok', ARGV[1] - 1}`);

/** `filled` and `taken` of limit-rate.ts. Values: capacity, interval, quantum, longest wait, tokens wanted, then `commit`, `look`, `available` or `uncommit`. */
export const RATE: LimitScript = script(`
local capacity, interval, quantum = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local max_wait, count, how = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
now = math.floor(now)
local kept = redis.call('GET', KEYS[1])
local tokens, at = capacity, now
if kept then
  local had, since = string.match(kept, '^(%S+) (%S+)$')
  had, since = tonumber(had), tonumber(since)
  if not had or not since then return {'abused'} end
  if since > now then
    since = now
    redis.call('SET', KEYS[1], string.format('%.17g %.17g', had, since), 'KEEPTTL')
  end
  local ticks = math.floor((now - since) / interval)
  if had + ticks * quantum < capacity then tokens, at = had + ticks * quantum, since + ticks * interval end
elseif how == 'uncommit' then
  return {'nothing'}
end
local function keep(left)
  local full = math.ceil((capacity - left) / quantum) * interval - (now - at)
  redis.call('SET', KEYS[1], string.format('%.17g %.17g', left, at), 'PX', math.ceil(math.max(full, 0) + interval))
end
if how == 'uncommit' then
  keep(math.min(tokens + 1, capacity))
  return {'ok'}
end
if how == 'available' then
  local got = math.max(math.min(count, tokens), 0)
  if got > 0 then keep(tokens - got) end
  return {'ok', string.format('%.17g', got)}
end
local left, delay = tokens - count, 0
if left < 0 then
  delay = math.ceil(-left / quantum) * interval - (now - at)
  if delay > max_wait then return {'rejected'} end
end
if how == 'commit' then keep(left) end
return {'ok', string.format('%.17g', delay), string.format('%.17g', left)}`);

/** Most owners whose leases have ended that one question clears away; the next one goes on. */
const SWEEP = 1_000;

/**
 * Who holds what, in one sorted set: scores of `count <owner>` and of `total` are counts, those of `ends <owner>` tell when the
 * owner's lease ends, far above them. So a question costs the same however many owners there are, and needs but one key. Values:
 * owner, most, how long a lease lasts, then `commit`, `look`, `give`, or `keep`, which says how many the owner holds.
 */
export const CONN: LimitScript = script(`
local owner, most, lasts, how = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local times = 1e15
local function score(what) return tonumber(redis.call('ZSCORE', KEYS[1], what) or 0) end
local function text(number) return string.format('%.17g', number) end
local own, total = score('count ' .. owner), score('total')
local changed = false
local function written(named, before, count)
  total, changed = total + count - before, true
  if count > 0 then
    redis.call('ZADD', KEYS[1], count, 'count ' .. named, text(times + now + lasts), 'ends ' .. named)
  else
    redis.call('ZREM', KEYS[1], 'count ' .. named, 'ends ' .. named)
  end
end
local function between(least, latest) return ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], least, latest, 'LIMIT', 0, ${SWEEP})) end
for _, what in between(text(times), text(times + now)) do
  local named = string.sub(what, 6)
  if named ~= owner then written(named, score('count ' .. named), 0) end
end
for _, what in between('(' .. text(times + now + lasts + 1), '+inf') do redis.call('ZADD', KEYS[1], text(times + now + lasts), what) end
local answer
if how == 'keep' or how == 'give' then
  local count = how == 'keep' and tonumber(ARGV[5]) or math.max(own - 1, 0)
  if count > 0 or own > 0 then written(owner, own, count) end
  answer = {'ok', total}
elseif total + 1 > most then
  answer = {'rejected'}
else
  answer = {'ok', total + 1}
  if how == 'commit' then written(owner, own, own + 1) end
end
if not changed then return answer end
if total <= 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('ZADD', KEYS[1], total, 'total')
  redis.call('PEXPIRE', KEYS[1], lasts)
end
return answer`);
