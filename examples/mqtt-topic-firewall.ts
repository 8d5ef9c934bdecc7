// MQTT topic firewall: clients may publish and subscribe below `public/` only. What else they send never reaches the broker;
// the gateway answers for it. MQTT 3.1.1.
//
// In two terminals:
//   $ mosquitto -p 1883
//   $ npm start -- --config examples/mqtt-topic-firewall.ts
//
// Try: two messages, both kept by the broker if it gets them. Then a look at it past the gateway, and a subscription.
//   $ mosquitto_pub -p 5050 -t admin/reboot -m now -r -q 1
//   $ mosquitto_pub -p 5050 -t public/news -m hello -r -q 1
//   $ mosquitto_sub -p 1883 -t 'admin/#' -t 'public/#' -C 1 -v
//   public/news hello
//   $ mosquitto_sub -p 5050 -t 'public/#' -C 1 -v
//   public/news hello
//   $ mosquitto_sub -p 5050 -t '#' -C 1 2>&1 | head -n 1
//   …denied.
import { defineGateway, frames, on, otherwise, proxy, reject } from "restyconf";
import * as codecs from "restyconf/codecs";
import { mqtt } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", BROKER = "127.0.0.1:1883" } = process.env;

const FAILURE = 0x80; // MQTT 3.1.1 §3.9.3
const codec = codecs.mqtt({ version: 4, maxBytes: 262_144 });
const mayUse = (topic: string): boolean => topic.startsWith("public/");

export default defineGateway({
  upstreams: { broker: { peers: [BROKER] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(mqtt({ version: 4 }), proxy("broker")), otherwise(reject("not MQTT 3.1.1"))],
      phases: {
        bodyFilter: {
          client: frames(
            codec,
            (packet, session) => {
              if (packet.cmd === "publish" && !mayUse(packet.topic)) {
                // Before MQTT 5 a broker cannot say no: it takes the message and forgets it, or closes the connection.
                const { qos, messageId = 0 } = packet;
                if (qos === 1) session.inject("client", codec.encode({ cmd: "puback", messageId }));
                if (qos === 2) session.end();
                return null;
              }
              if (packet.cmd === "subscribe" && !packet.subscriptions.every(({ topic }) => mayUse(topic))) {
                const { subscriptions, messageId = 0 } = packet;
                const granted = subscriptions.map(() => FAILURE);
                session.inject("client", codec.encode({ cmd: "suback", messageId, granted }));
                return null;
              }
              return undefined;
            },
            { end: () => null }, // what is no whole packet was not looked at
          ),
          upstream: frames(codec, () => undefined), // so that an answer of ours never stands within a packet of the broker
        },
      },
    },
  },
});
