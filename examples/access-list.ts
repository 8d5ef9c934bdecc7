// An access list: who may come in. The hook may await, to ask a database.
//
// In two terminals:
//   $ node examples/stand-in.mjs game 7001
//   $ npm start -- --config examples/access-list.ts
//
// Try: { "player": "ann" }; the same from an address that is blocked and from one that is banned; then player eve.
//   $ printf '\x81\xa6player\xa3ann' | nc -N 127.0.0.1 5050 | head -n 1
//   game
//   $ printf '\x81\xa6player\xa3ann' | nc -N -s 127.0.0.66 127.0.0.1 5050 | grep -ao 'blocked: .*66'
//   blocked: 127.0.0.66
//   $ printf '\x81\xa6player\xa3ann' | nc -N -s 127.0.0.67 127.0.0.1 5050 | grep -ao 'banned: .*67'
//   banned: 127.0.0.67
//   $ printf '\x81\xa6player\xa3eve' | nc -N 127.0.0.1 5050 | grep -ao 'banned by name'
//   banned by name
import { BlockList } from "node:net";
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { msgpack } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", GAME = "127.0.0.1:7001" } = process.env;

const blocked = new BlockList();
blocked.addSubnet("192.0.2.0", 24);
blocked.addAddress("127.0.0.66");

/** Stands for a look-up in a database. */
async function isBanned(host: string): Promise<boolean> {
  return host === "127.0.0.67";
}

export default defineGateway({
  upstreams: { game: { peers: [GAME] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [
        on(msgpack({ player: "eve" }), reject("banned by name")), // what the first bytes tell, a route can refuse
        on(msgpack(), proxy("game")),
        otherwise(reject("not msgpack")),
      ],
      phases: {
        // After a route was chosen, and before any peer is asked. The client is told the reason, too: in a msgpack map.
        access: async ({ remote: { host } }) => {
          if (blocked.check(host, host.includes(":") ? "ipv6" : "ipv4")) return reject(`blocked: ${host}`);
          return (await isBanned(host)) ? reject(`banned: ${host}`, { status: 403 }) : undefined;
        },
      },
    },
  },
});
