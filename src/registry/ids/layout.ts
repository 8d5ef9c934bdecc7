import { GatewayError } from "../../errors.ts";
import { type RedisLink, redisScript } from "../redis/redis-link.ts";
import { INTERNAL } from "../redis/registry-key.ts";

/** How the ids of all gateways of one Redis are laid out: their `machineBits`. It is forgotten with the last lease. */
const KEY = `${INTERNAL}ids:bits`;

const KEEP = redisScript(`
local bits = redis.pcall('GET', KEYS[1])
if type(bits) == 'string' and bits ~= ARGV[1] then return bits end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`);

/**
 * Says for `ttlMs` that ids have so many bits for the machine. Rejects with `RC_ID_LEASE` where others say otherwise: ids of two
 * layouts may be equal; and with `RC_REGISTRY`.
 */
export async function keepLayout(link: RedisLink, machineBits: number, ttlMs: number): Promise<void> {
  const bits = await link.run(KEEP, [KEY], [machineBits, ttlMs]);
  if (String(bits) === String(machineBits)) return;
  throw new GatewayError("RC_ID_LEASE", `machineBits is ${machineBits} here, and ${String(bits)} at other gateways`);
}
