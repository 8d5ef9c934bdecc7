// msgpack rewrite: each message of a player is told where it comes from, and may not say that it comes from an operator.
// Messages that are not maps, and all that the server sends, go on byte for byte.
//
// In two terminals:
//   $ node examples/stand-in.mjs game 7001
//   $ npm start -- --config examples/msgpack-rewrite.ts
//
// Try: { "cmd": "join", "admin": true }, then [1, 2]. What comes back is what the server got, here without its binary parts.
//   $ printf '\x82\xa3cmd\xa4join\xa5admin\xc3' | nc -N 127.0.0.1 5050 | LC_ALL=C tr -cd '[:print:]\n'
//   game
//   cmdjoinfrom127.0.0.1
//   $ printf '\x92\x01\x02' | nc -N 127.0.0.1 5050 | tail -c 3 | od -An -tx1
//    92 01 02
import { defineGateway, frames, on, otherwise, proxy, reject } from "restyconf";
import * as codecs from "restyconf/codecs";
import { msgpack } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", GAME = "127.0.0.1:7001" } = process.env;

export default defineGateway({
  upstreams: { game: { peers: [GAME] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(msgpack(), proxy("game")), otherwise(reject("not msgpack"))],
      phases: {
        bodyFilter: {
          client: frames(codecs.msgpack({ maxBytes: 65_536 }), (message, session) => {
            if (typeof message !== "object" || message === null || Array.isArray(message)) return undefined;
            const { admin: _, ...rest } = message as Record<string, unknown>;
            return { ...rest, from: session.remote.host };
          }),
        },
      },
    },
  },
});
