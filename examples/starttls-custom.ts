// STARTTLS for a protocol of your own: a client that can encrypt says `TLS?` first, hears `YES`, and goes on in TLS; an older one
// just begins. Both are on the same port, and the game server sees the same clear text of both.
//
// In two terminals:
//   $ node examples/stand-in.mjs game 7001
//   $ npm start -- --config examples/starttls-custom.ts
//
// Try: a client that asks for TLS, and an older one.
//   $ node examples/upgrading-client.mjs 5050 'JOIN ann'
//   encrypted: TLSv1.3
//   game
//   JOIN ann
//   $ echo 'JOIN bob' | nc -N 127.0.0.1 5050
//   game
//   JOIN bob
//
// One that asks, and then goes on in clear text after all: it hears that it may, and nothing else.
//   $ printf 'TLS?JOIN eve\n' | nc -N 127.0.0.1 5050
//   YES
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { bytes } from "restyconf/preread";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

const { LISTEN = "127.0.0.1:5050", GAME = "127.0.0.1:7001" } = process.env;
const { CERTS = defaultCertificates } = process.env;

const QUESTION = "TLS?";
const ANSWER = "YES\n";

export default defineGateway({
  upstreams: { game: { peers: [GAME] } },
  servers: {
    edge: {
      listen: LISTEN,
      ssl: { mode: "starttls", certs: CERTS, minVersion: "TLSv1.3" },
      routes: [
        on(bytes(QUESTION, { name: "upgrade" }), proxy("game")),
        on(bytes("JOIN "), proxy("game")),
        otherwise(reject("no player")),
      ],
      phases: {
        preread: async (session) => {
          if (session.protocol !== "upgrade") return;
          await session.reader.receive(QUESTION.length); // the question is ours, the game server must not see it
          await session.write(ANSWER);
          const { protocol, cipher } = await session.startTls();
          console.log(`${session.remote.host} upgraded to ${protocol} with ${cipher}`);
        },
      },
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
