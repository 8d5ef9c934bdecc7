import { defineGateway, on, otherwise, proxy, silent } from "restyconf";
import { http, mqtt, msgpack, tls } from "restyconf/preread";
import { defaultCertificates, ensureCertificates } from "./certificates.ts";
import { printTryIt } from "./try-it.ts";
import { addresses, startUpstreams } from "./upstreams.ts";

const { RESTYCONF_PORT = "5050", RESTYCONF_CERTS = defaultCertificates } = process.env;

export default defineGateway({
  // Where clients may go. Each has one peer here; give it more, and a balancer chooses.
  upstreams: {
    broker: { peers: [addresses.broker] },
    page: { peers: [addresses.page] },
    game: { peers: [addresses.game] },
    greeter: { peers: [addresses.greeter] },
    lines: { peers: [addresses.lines] },
    raw: { peers: [addresses.raw] },
  },
  servers: {
    edge: {
      listen: `127.0.0.1:${RESTYCONF_PORT}`,

      // Clients may begin with TLS or not, on the same port: the first bytes tell. The certificate is chosen by the name
      // that the client asks for; whoever asks for another name, or for none, gets `default.crt`.
      ssl: { mode: "auto", certs: RESTYCONF_CERTS },

      // Asked in order, about the first bytes in clear text. Nothing is consumed: the peer receives every byte.
      routes: [
        // Before TLS is terminated: whoever asks for this name gets it from the peer, whose key never leaves its machine.
        on(tls({ serverName: "raw.example.test" }), proxy("raw")),
        on(mqtt(), proxy("broker")),
        on(http(), proxy("page")),
        on(msgpack(), proxy("game")),
        // Some clients wait for the server to speak first. Whoever says nothing for a second is one of them.
        silent(1_000, proxy("greeter")),
        otherwise(proxy("lines")),
      ],
    },
  },
  // Importing this file opens and writes nothing, so that `restyconf check` can read it. What must be there before the
  // port opens is made here.
  phases: {
    init: () => ensureCertificates(RESTYCONF_CERTS),
    initWorker: async () => {
      await startUpstreams();
      printTryIt(Number(RESTYCONF_PORT), RESTYCONF_CERTS);
    },
  },
});
