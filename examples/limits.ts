// Limits: how many at once, how often, and how fast, by address, by client id and for each session.
//
// In two terminals:
//   $ node examples/stand-in.mjs echo 7001
//   $ npm start -- --config examples/limits.ts
//
// Try: two requests in a row are served, the second a little later; of three at once some are told when to come again.
//   $ curl -s http://127.0.0.1:5050/ http://127.0.0.1:5050/
//   served
//   served
//   $ curl -s -i --parallel --parallel-immediate http://127.0.0.1:5050/ http://127.0.0.1:5050/ http://127.0.0.1:5050/ | tr -d '\r' | grep -e 503 -e Retry
//   HTTP/1.1 503 Service Unavailable
//   Retry-After: 1
//
// 200,000 bytes go there and come back, in two seconds.
//   $ head -c 200000 /dev/zero | nc -N 127.0.0.1 5050 | wc -c
//   200005
import { content, defineGateway, on, otherwise, proxy } from "restyconf";
import { http } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", ECHO = "127.0.0.1:7001" } = process.env;

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nserved\n";

export default defineGateway({
  shared: { limits: "1m" }, // all workers count together
  upstreams: { echo: { peers: [ECHO] } },
  servers: {
    edge: {
      listen: LISTEN,
      limits: [
        { conn: 100, per: "address" },
        { bytesPerSecond: 100_000, per: "session" },
      ],
      routes: [
        on(
          http(),
          content(async (session) => void (await session.write(ANSWER))),
          { limits: [{ req: 2, burst: 1, per: "address" }] }, // one may be ahead of its time, and waits until it has come
        ),
        otherwise(proxy("echo")),
      ],
    },
  },
});
