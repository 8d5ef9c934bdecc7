// Binary protocols of your own, by what they begin with: a magic text, or a length in front of each frame.
//
// In four terminals:
//   $ node examples/stand-in.mjs chat 7001
//   $ node examples/stand-in.mjs game 7002
//   $ node examples/stand-in.mjs telemetry 7003
//   $ npm start -- --config examples/custom-binary.ts
//
// Try: a magic text; two bytes of length, then msgpack `{ "cmd": "join" }`; four bytes of length, then anything.
//   $ printf 'CHAT/1 hello' | nc -N 127.0.0.1 5050
//   chat
//   $ printf '\x00\x0a\x81\xa3cmd\xa4join' | nc -N 127.0.0.1 5050 | head -n 1
//   game
//   $ printf '\x0a\x00\x00\x0023.5 C' | nc -N 127.0.0.1 5050 | head -n 1
//   telemetry
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { bytes, lengthPrefixed, msgpack } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050" } = process.env;
const { CHAT = "127.0.0.1:7001", GAME = "127.0.0.1:7002", TELEMETRY = "127.0.0.1:7003" } = process.env;

export default defineGateway({
  upstreams: {
    chat: { peers: [CHAT] },
    game: { peers: [GAME] },
    telemetry: { peers: [TELEMETRY] },
  },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [
        on(bytes(/^CHAT\/[12] /, { name: "chat" }), proxy("chat")), // the name is for `session.protocol` and the log
        // What is inside a frame may be looked at too.
        on(lengthPrefixed({ size: 2, max: 1_024, inner: msgpack({ cmd: "join" }) }), proxy("game")),
        // The smaller `max`, the fewer strangers look like a frame. This length counts its own four bytes, too.
        on(lengthPrefixed({ size: 4, endian: "little", includesHeader: true, max: 512 }), proxy("telemetry")),
        otherwise(reject("unknown protocol")),
      ],
    },
  },
});
