// msgpack by field: the first message tells where a player belongs. Values are found by path, at any depth.
//
// In four terminals:
//   $ node examples/stand-in.mjs login 7001
//   $ node examples/stand-in.mjs europe 7002
//   $ node examples/stand-in.mjs world 7003
//   $ npm start -- --config examples/msgpack-by-field.ts
//
// Try: { "cmd": "login" }, then { "user": { "region": "eu-west" } }, then { "cmd": "join" }.
//   $ printf '\x81\xa3cmd\xa5login' | nc -N 127.0.0.1 5050 | head -n 1
//   login
//   $ printf '\x81\xa4user\x81\xa6region\xa7eu-west' | nc -N 127.0.0.1 5050 | head -n 1
//   europe
//   $ printf '\x81\xa3cmd\xa4join' | nc -N 127.0.0.1 5050 | head -n 1
//   world
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { msgpack } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050" } = process.env;
const { LOGIN = "127.0.0.1:7001", EUROPE = "127.0.0.1:7002", WORLD = "127.0.0.1:7003" } = process.env;

export default defineGateway({
  upstreams: {
    login: { peers: [LOGIN] },
    europe: { peers: [EUROPE] },
    world: { peers: [WORLD] },
  },
  servers: {
    edge: {
      listen: LISTEN,
      // A first message may be larger than that; then its fields cannot be seen, and the session is refused.
      preread: { maxBytes: 4_096, timeoutMs: 3_000 },
      routes: [
        on(msgpack({ cmd: "login" }), proxy("login")),
        on(msgpack({ "user.region": "eu-*" }), proxy("europe")),
        on(msgpack(), proxy("world")),
        otherwise(reject("not msgpack")),
      ],
    },
  },
});
