// TLS by name: each name has its certificate, a wildcard serves all names of one level, and the default one serves
// everybody else. A folder holds them, `name.crt` with `name.key`; it is read again when something in it changes.
//
// In a terminal; it makes the certificates when they are not there:
//   $ npm start -- --config examples/tls-by-name.ts
//
// Try: a name, one below a wildcard, one that nobody has, and a client that asks for none.
//   $ openssl s_client -connect 127.0.0.1:5050 -servername app.example.test </dev/null 2>/dev/null | grep -m 1 subject
//   subject=CN = app.example.test
//   $ openssl s_client -connect 127.0.0.1:5050 -servername any.play.example.test </dev/null 2>/dev/null | grep -m 1 subject
//   subject=CN = *.play.example.test
//   $ openssl s_client -connect 127.0.0.1:5050 -servername other.test </dev/null 2>/dev/null | grep -m 1 subject
//   subject=CN = localhost
//   $ curl --cacert certs/default.crt https://localhost:5050/
//   Hello over TLSv1.3, localhost
import { content, defineGateway, on, otherwise, reject } from "restyconf";
import { http } from "restyconf/preread";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

const { LISTEN = "127.0.0.1:5050", CERTS = defaultCertificates } = process.env;

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      ssl: {
        mode: "always", // plain clients are refused; `auto` takes both
        certs: CERTS,
        alpn: ["http/1.1"],
        minVersion: "TLSv1.2",
      },
      routes: [
        on(
          http(),
          content(async (session) => {
            await session.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            await session.write(`Hello over ${session.ssl?.protocol}, ${session.ssl?.serverName}\n`);
          }),
        ),
        otherwise(reject("not HTTP")),
      ],
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
