// MQTT by client id: bots have a broker of their own, and all clients connect to the same port. MQTT 3.1, 3.1.1 and 5.
//
// In three terminals:
//   $ mosquitto -p 1883
//   $ mosquitto -p 1884
//   $ npm start -- --config examples/mqtt-by-client-id.ts
//
// Try: a bot leaves a message at the gateway, and the bots' broker has it. A player's is at the other one.
//   $ mosquitto_pub -p 5050 -i bot-7 -t news -m 'from a bot' -r
//   $ mosquitto_sub -p 1884 -t news -C 1
//   from a bot
//   $ mosquitto_pub -p 5050 -i ann -t news -m 'from a player' -r
//   $ mosquitto_sub -p 1883 -t news -C 1
//   from a player
//
// `username` and `version` are conditions too, and each may be a RegExp or a function instead of a text with `*`.
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { mqtt } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", PLAYERS = "127.0.0.1:1883", BOTS = "127.0.0.1:1884" } = process.env;

export default defineGateway({
  upstreams: {
    players: { peers: [PLAYERS] },
    bots: { peers: [BOTS] },
  },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [
        on(mqtt({ clientId: "bot-*" }), proxy("bots")), // the first that matches wins
        on(mqtt(), proxy("players")),
        otherwise(reject("not MQTT")),
      ],
    },
  },
});
