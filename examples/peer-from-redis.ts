// A peer from Redis per attempt: game servers write their load into a sorted set, and each session goes to the least loaded one.
// When that one does not answer, Redis is asked again, for the next. Where it knows none, the configured peer is taken.
//
// In four terminals:
//   $ redis-server --port 6379 --save ''
//   $ node examples/stand-in.mjs fallback 7000
//   $ node examples/stand-in.mjs game 7001
//   $ npm start -- --config examples/peer-from-redis.ts
//
// Try: Redis knows nobody; then one server; then also one that is less loaded, since it is not there.
//   $ echo hello | nc -N 127.0.0.1 5050
//   fallback
//   hello
//   $ redis-cli -p 6379 ZADD game:load 5 127.0.0.1:7001
//   $ echo hello | nc -N 127.0.0.1 5050
//   game
//   hello
//   $ redis-cli -p 6379 ZADD game:load 1 127.0.0.1:7002
//   $ echo hello | nc -N 127.0.0.1 5050
//   game
//   hello
import { Redis } from "ioredis";
import { defineGateway, otherwise, proxy } from "restyconf";

const { LISTEN = "127.0.0.1:5050", REDIS = "127.0.0.1:6379", FALLBACK = "127.0.0.1:7000" } = process.env;

// A dead Redis must not hold sessions: each waits half a second for it at most, then ends with status 500.
const redis = new Redis(`redis://${REDIS}`, {
  lazyConnect: true,
  connectTimeout: 500,
  commandTimeout: 500,
  maxRetriesPerRequest: 0,
});
redis.on("error", () => {}); // the session's line in the log says it

export default defineGateway({
  upstreams: { game: { peers: [FALLBACK], tries: 3 } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(proxy("game"))],
      phases: {
        balancer: async ({ attempt, lastFailure }) => {
          if (lastFailure) console.log(`attempt ${attempt}, since ${lastFailure}`);
          const place = String(attempt - 1); // the least loaded first
          const [address] = await redis.zrange("game:load", place, place);
          return address;
        },
      },
    },
  },
});
