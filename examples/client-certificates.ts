// Client certificates: TLS says who the client is. On one port a certificate is required, and the handshake fails without
// it; on the other it is optional, and a hook decides what the verdict is worth.
//
// In a terminal. The client's certificate is its own authority here:
//   $ openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ann -keyout certs/ann.pem -out certs/ann.pem
//   $ npm start -- --config examples/client-certificates.ts
//
// Try: with the certificate, and without.
//   $ openssl s_client -quiet -connect 127.0.0.1:5050 -cert certs/ann.pem 2>/dev/null
//   Hello, CN=ann
//   $ openssl s_client -quiet -connect 127.0.0.1:5050 </dev/null 2>&1 | grep -o 'alert certificate required'
//   alert certificate required
//   $ openssl s_client -quiet -connect 127.0.0.1:5051 2>/dev/null
//   Hello, stranger
import { content, defineGateway, otherwise, reject } from "restyconf";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

const { LISTEN = "127.0.0.1:5050", LISTEN_OPTIONAL = "127.0.0.1:5051" } = process.env;
const { CERTS = defaultCertificates } = process.env;
// Whose signature is trusted. Not `.crt`: it is no certificate of ours.
const ca = `${CERTS}/ann.pem`;

const greeting = otherwise(
  content((session) => session.write(`Hello, ${session.ssl?.clientCertificate?.subject ?? "stranger"}\n`)),
);

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      ssl: { mode: "always", certs: CERTS, clientCertificate: "required", ca },
      routes: [greeting],
    },
    optional: {
      listen: LISTEN_OPTIONAL,
      ssl: { mode: "always", certs: CERTS, clientCertificate: "optional", ca },
      routes: [greeting],
      phases: {
        // `SUCCESS`, `NONE` when no certificate was shown, or `FAILED:` and why: that client lies, or its time is over.
        access: ({ ssl }) => (ssl?.verify.startsWith("FAILED") ? reject(ssl.verify) : undefined),
      },
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
