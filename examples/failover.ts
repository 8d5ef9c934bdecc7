// Failover: a peer that does not accept is left out for a while, the session goes to the next one, and a backup serves
// when all others are down. The client notices nothing: its first bytes are kept until a peer is connected.
//
// In two terminals (the primary is down):
//   $ node examples/stand-in.mjs backup 7002
//   $ npm start -- --config examples/failover.ts
//
// Try: the log line names both peers that were tried.
//   $ printf 'hello\n' | nc -N 127.0.0.1 5050
//   backup
//   hello
import { defineGateway, leastConn, otherwise, proxy } from "restyconf";

const { LISTEN = "127.0.0.1:5050", PRIMARY = "127.0.0.1:7001", BACKUP = "127.0.0.1:7002" } = process.env;

export default defineGateway({
  upstreams: {
    game: {
      peers: [PRIMARY, { address: BACKUP, backup: true }],
      balancer: leastConn(), // among several primaries
      tries: 2, // peers for one session; never after a byte was sent to one
      connectTimeoutMs: 1_000,
      maxFails: 1, // after so many failures within failTimeoutMs …
      failTimeoutMs: 10_000, // … a peer gets no session for that long; then one session tries it
    },
  },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(proxy("game"))],
      phases: {
        balancer: (session) => {
          if (session.lastFailure) console.log(`attempt ${session.attempt}, since ${session.lastFailure}`);
        },
      },
    },
  },
});
