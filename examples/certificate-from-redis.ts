// A certificate from Redis in each handshake: put one in, and the next client gets it; take it out, and it is gone. No file, no
// reload. What Redis does not have is looked for in the folder, also while Redis is down.
//
// In two terminals:
//   $ redis-server --port 6379 --save ''
//   $ npm start -- --config examples/certificate-from-redis.ts
//
// Try: a customer gets a certificate, and loses it. Key and certificate are in one text.
//   $ openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ann.example.test -keyout certs/ann.pem -out certs/ann.pem 2>/dev/null
//   $ redis-cli -p 6379 -x SET cert:ann.example.test < certs/ann.pem
//   OK
//   $ openssl s_client -connect 127.0.0.1:5050 -servername ann.example.test </dev/null 2>&1 | grep -m 1 subject
//   subject=CN = ann.example.test
//   $ redis-cli -p 6379 DEL cert:ann.example.test
//   $ openssl s_client -connect 127.0.0.1:5050 -servername ann.example.test </dev/null 2>&1 | grep -m 1 subject
//   subject=CN = localhost
import { Redis } from "ioredis";
import { content, defineGateway, otherwise } from "restyconf";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

const { LISTEN = "127.0.0.1:5050", REDIS = "127.0.0.1:6379" } = process.env;
const { CERTS = defaultCertificates } = process.env;

// A dead Redis must not hold clients: a handshake waits half a second for it at most.
const redis = new Redis(`redis://${REDIS}`, {
  lazyConnect: true,
  connectTimeout: 500,
  commandTimeout: 500,
  maxRetriesPerRequest: 0,
});
redis.on("error", () => {}); // said below, where it matters

/** What Redis has for a name, if it can be asked. */
async function pemOf(serverName: string): Promise<string | null> {
  try {
    return await redis.get(`cert:${serverName}`);
  } catch (cause) {
    console.error(`no Redis for ${serverName}: ${cause}`);
    return null;
  }
}

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      ssl: { mode: "always", certs: CERTS },
      routes: [otherwise(content((session) => session.write(`Welcome to ${session.ssl?.serverName}\n`)))],
      phases: {
        // The same PEM is prepared once, so that only the question costs time. Names come from strangers, but nothing is kept.
        sslCertificate: async ({ hello: { serverName } }) => {
          const pem = serverName && (await pemOf(serverName));
          return pem ? { cert: pem, key: pem } : undefined;
        },
      },
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
