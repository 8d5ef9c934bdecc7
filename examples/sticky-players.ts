// Sticky players: a player comes back to the same game server, whichever gateway is asked and whatever the address is.
// When a server is added or leaves, only its own share of the players moves.
//
// In three terminals:
//   $ node examples/stand-in.mjs 'server 1' 7001
//   $ node examples/stand-in.mjs 'server 2' 7002
//   $ npm start -- --config examples/sticky-players.ts
//
// Try: { "player": "ann" } from two addresses. Both answers are the same.
//   $ printf '\x81\xa6player\xa3ann' | nc -N 127.0.0.1 5050 | head -n 1
//   server …
//   $ printf '\x81\xa6player\xa3ann' | nc -N -s 127.0.0.2 127.0.0.1 5050 | head -n 1
//   server …
import { defineGateway, hash, on, otherwise, proxy, reject } from "restyconf";
import { msgpack } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", GAME_1 = "127.0.0.1:7001", GAME_2 = "127.0.0.1:7002" } = process.env;

/** The name in the message that was sniffed; without one the hash takes the servers in turn. */
function playerOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("value" in message)) return undefined;
  const { value } = message;
  const named = typeof value === "object" && value !== null && "player" in value;
  return named ? String(value.player) : undefined;
}

export default defineGateway({
  upstreams: {
    game: {
      peers: [GAME_1, { address: GAME_2, weight: 2 }], // twice as many players on the second
      balancer: hash((session) => playerOf(session.info)),
    },
  },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(msgpack(), proxy("game")), otherwise(reject("not msgpack"))],
    },
  },
});
