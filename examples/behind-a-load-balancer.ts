// Behind a load balancer: it puts a PROXY header in front of each connection, so that we know the client's address, and
// we tell our peers in turn, with more: a unique id, the TLS name and version, the client's certificate verdict.
//
// In two terminals:
//   $ node examples/stand-in.mjs game 7001
//   $ npm start -- --config examples/behind-a-load-balancer.ts
//
// Try: a header of version 1, as HAProxy's `send-proxy` writes it. The log line has `"remote_addr":"203.0.113.7"`, and the
// peer, which echoes all it gets, got a header of version 2: its signature has the word QUIT in it.
//   $ printf 'PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\nhello\n' | nc -N 127.0.0.1 5050 | tr -cd '[:print:]\n'
//   game
//   QUIT
//   …hello
import { defineGateway, otherwise, proxy } from "restyconf";

const { LISTEN = "127.0.0.1:5050", GAME = "127.0.0.1:7001" } = process.env;

export default defineGateway({
  upstreams: {
    game: {
      peers: [GAME],
      proxyProtocol: 2, // the peer must expect it: it is the first thing that it receives
    },
  },
  servers: {
    edge: {
      listen: LISTEN,
      proxyProtocol: {
        // The load balancers, and nobody else: whoever may send this header chooses the address that we believe.
        trust: ["127.0.0.1", "10.0.0.0/8"],
        timeoutMs: 3_000,
      },
      routes: [otherwise(proxy("game"))],
    },
  },
});
