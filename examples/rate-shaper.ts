// Rate shaper: a filter that waits. While it does, nothing more is read from that side, so the sender slows down; the other
// direction flows. 200,000 bytes per second for each direction of each session.
//
// In two terminals:
//   $ node examples/stand-in.mjs echo 7001
//   $ npm start -- --config examples/rate-shaper.ts
//
// Try: 500,000 bytes go there and come back, in two seconds and some. The first 64 KiB are free.
//   $ head -c 500000 /dev/zero | nc -N 127.0.0.1 5050 | wc -c
//   500005
import { type ChunkFilter, defineGateway, otherwise, proxy, sleep } from "restyconf";

const { LISTEN = "127.0.0.1:5050", ECHO = "127.0.0.1:7001" } = process.env;

/** `burstBytes`: what may pass at once after a pause. */
function shaped({ bytesPerSecond, burstBytes }: { bytesPerSecond: number; burstBytes: number }): ChunkFilter {
  const burstMs = (burstBytes / bytesPerSecond) * 1_000;
  const paidUntil = new WeakMap<object, number>(); // by session; when it is over, nothing is left of it here
  return async (chunk, session) => {
    const now = performance.now();
    const from = Math.max(paidUntil.get(session) ?? 0, now - burstMs);
    const until = from + (chunk.length / bytesPerSecond) * 1_000;
    paidUntil.set(session, until);
    if (until > now) await sleep(until - now, { signal: session.signal });
    return undefined; // the chunk goes on as it is
  };
}

const rate = { bytesPerSecond: 200_000, burstBytes: 65_536 };

export default defineGateway({
  upstreams: { echo: { peers: [ECHO] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(proxy("echo"))],
      phases: { bodyFilter: { client: shaped(rate), upstream: shaped(rate) } },
    },
  },
});
