// Passthrough and termination on one port: TLS for some names goes on to a peer that has the certificate and the key, TLS
// for all others ends here, and clients without TLS are welcome too.
//
// In three terminals; the first is a server with its own certificate:
//   $ node examples/stand-in.mjs raw.example.test 7001 --tls
//   $ node examples/stand-in.mjs game 7002
//   $ npm start -- --config examples/passthrough-and-termination.ts
//
// Try: the peer's certificate, ours, and no TLS at all.
//   $ openssl s_client -connect 127.0.0.1:5050 -servername raw.example.test </dev/null 2>/dev/null | grep -m 1 subject
//   subject=CN = raw.example.test
//   $ openssl s_client -connect 127.0.0.1:5050 -servername app.example.test </dev/null 2>/dev/null | grep -m 1 subject
//   subject=CN = app.example.test
//   $ (echo hello; sleep 4) | openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:5050 -servername app.example.test 2>/dev/null
//   game
//   hello
//   $ echo hello | nc -N 127.0.0.1 5050
//   game
//   hello
import { defineGateway, on, otherwise, proxy } from "restyconf";
import { tls } from "restyconf/preread";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

const { LISTEN = "127.0.0.1:5050", RAW = "127.0.0.1:7001", GAME = "127.0.0.1:7002" } = process.env;
const { CERTS = defaultCertificates } = process.env;

export default defineGateway({
  upstreams: {
    raw: { peers: [RAW] },
    game: { peers: [GAME] },
  },
  servers: {
    edge: {
      listen: LISTEN,
      ssl: { mode: "auto", certs: CERTS },
      routes: [
        on(tls({ serverName: "raw.example.test" }), proxy("raw")), // asked before TLS would end here
        otherwise(proxy("game")), // clear text, whether it came through TLS or not
      ],
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
