// STARTTLS for mail: the gateway greets, answers until the client asks for TLS, and encrypts. From there on the mail server
// talks with the client, and sees clear text. Whoever does not encrypt gets no further (RFC 3207).
//
// In two terminals. The mail server greets like any other:
//   $ node examples/stand-in.mjs '220 inner.example.test' 7001
//   $ npm start -- --config examples/starttls-smtp.ts
//
// Try: a client that encrypts. Its mail server sends back what it hears.
//   $ (printf 'MAIL FROM:<ann@example.test>\r\n'; sleep 4) | openssl s_client -quiet -no_ign_eof -starttls smtp -connect 127.0.0.1:5050
//   MAIL FROM:<ann@example.test>
//
// One that does not, and one that hides a command behind STARTTLS: whoever sent it did so before the connection was safe.
//   $ printf 'EHLO me\r\nMAIL FROM:<eve@example.test>\r\nQUIT\r\n' | nc -N 127.0.0.1 5050
//   220 mail.example.test ESMTP
//   250-mail.example.test
//   250 STARTTLS
//   530 Must issue a STARTTLS command first
//   221 Bye
//   $ printf 'EHLO me\r\nSTARTTLS\r\nMAIL FROM:<eve@example.test>\r\n' | nc -N 127.0.0.1 5050 | tail -n 1
//   220 Go ahead
import { type ContentSession, content, defineGateway, otherwise, proxy } from "restyconf";
import { defaultCertificates, ensureCertificates } from "./quickstart/certificates.ts";

declare module "restyconf" {
  interface SessionCtx {
    isGreeted?: boolean;
  }
}

const { LISTEN = "127.0.0.1:5050", MAIL = "127.0.0.1:7001" } = process.env;
const { CERTS = defaultCertificates } = process.env;

const LINE_BYTES = 512; // RFC 5321 §4.5.3.1.4
const MAX_COMMANDS = 20; // before TLS, nobody has more to say

const answers = new Map([
  ["EHLO", "250-mail.example.test\r\n250 STARTTLS\r\n"],
  ["NOOP", "250 OK\r\n"],
  ["STARTTLS", "220 Go ahead\r\n"],
  ["QUIT", "221 Bye\r\n"],
]);

/** The dialog in clear text; true when the client wants TLS. */
async function wantsTls(session: ContentSession): Promise<boolean> {
  await session.write("220 mail.example.test ESMTP\r\n");
  for (let count = 0; count < MAX_COMMANDS; count++) {
    const { data } = await session.reader.receive("*l", { maxBytes: LINE_BYTES });
    const command = data?.toString("latin1").split(" ")[0]?.toUpperCase();
    if (command === undefined) return false; // the client has left, or its line has no end
    await session.write(answers.get(command) ?? "530 Must issue a STARTTLS command first\r\n");
    if (command === "STARTTLS" || command === "QUIT") return command === "STARTTLS";
  }
  return false;
}

export default defineGateway({
  upstreams: { mail: { peers: [MAIL] } },
  servers: {
    edge: {
      listen: LISTEN,
      ssl: { mode: "starttls", certs: CERTS },
      routes: [
        otherwise(
          content(async (session) => {
            if (!(await wantsTls(session))) return undefined;
            await session.startTls(); // the ClientHello may have come together with the command
            return proxy("mail");
          }),
        ),
      ],
      phases: {
        bodyFilter: {
          // The mail server greets whoever connects. This client has been greeted.
          upstream: (chunk, { ctx }) => {
            if (ctx.isGreeted) return undefined;
            const end = chunk.indexOf("\n") + 1;
            ctx.isGreeted = end > 0;
            return ctx.isGreeted ? chunk.subarray(end) : null;
          },
        },
      },
    },
  },
  phases: { init: () => ensureCertificates(CERTS) },
});
