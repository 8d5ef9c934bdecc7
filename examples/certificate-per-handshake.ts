// A certificate per handshake: the hook sees the client's hello, and may await: a vault, a database, an authority that
// issues. Here, each customer's first visit makes a certificate for the customer's own name.
//
// In a terminal:
//   $ npm start -- --config examples/certificate-per-handshake.ts
//
// Try: a customer, and a name that is nobody's.
//   $ openssl s_client -connect 127.0.0.1:5050 -servername ann.example.test </dev/null 2>&1 | grep -m 1 subject
//   subject=CN = ann.example.test
//   $ openssl s_client -connect 127.0.0.1:5050 -servername eve.example.test </dev/null 2>&1 | grep -o 'alert access denied'
//   alert access denied
import { content, defineGateway, otherwise, reject } from "restyconf";
import { generate } from "selfsigned";

const { LISTEN = "127.0.0.1:5050" } = process.env;

const customers = new Set(["ann.example.test", "bob.example.test"]);
const issued = new Map<string, Promise<{ cert: string; key: string }>>(); // never grows beyond the customers

async function issue(name: string): Promise<{ cert: string; key: string }> {
  const made = await generate([{ name: "commonName", value: name }], { keyType: "ec" });
  return { cert: made.cert, key: made.private };
}

/** One certificate per customer, however many clients ask at the same time. */
function certificateFor(name: string): Promise<{ cert: string; key: string }> {
  const known = issued.get(name) ?? issue(name);
  issued.set(name, known);
  known.catch(() => issued.delete(name)); // the next client asks anew
  return known;
}

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      // Asked when the hook returns nothing; a folder would do as well.
      ssl: { mode: "always", certs: { find: () => undefined } },
      routes: [otherwise(content((session) => session.write(`Welcome to ${session.ssl?.serverName}\n`)))],
      phases: {
        sslCertificate: ({ hello: { serverName = "" } }) =>
          customers.has(serverName) ? certificateFor(serverName) : reject(`no customer: ${serverName}`),
      },
    },
  },
});
