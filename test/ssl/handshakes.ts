import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { connect, type SecureContext, type SecureVersion, TLSSocket } from "node:tls";
import { decodeClientHello } from "../../src/codecs/tls/client-hello.ts";
import type { ClientCertificateMode } from "../../src/ssl/context.ts";
import { verdictOf } from "../../src/ssl/verify.ts";
import type { Made } from "./made-certificates.ts";

/** Chooses the context by server name, before TLS begins; undefined: the connection is closed. */
type Choose = (serverName: string | undefined) => SecureContext | undefined | Promise<SecureContext | undefined>;

/** What both sides saw of one handshake. */
export interface Shaken {
  readonly verdict: string;
  readonly isResumed: boolean;
  readonly protocol: string;
  /** SHA-256 of the server's certificate, in hex with colons. */
  readonly fingerprint: string;
  /** Subjects of the chain that the server sent. */
  readonly chain: readonly string[];
  /** What the client may resume. */
  readonly session: Buffer | undefined;
}

/** How a client shakes hands. */
interface Client {
  readonly name?: string;
  readonly pair?: Made;
  readonly session?: Buffer | undefined;
  readonly version?: SecureVersion;
  readonly ciphers?: string;
}

/** A server that wraps accepted sockets as the gateway does and tells its clients what it saw. */
export async function serveTls(choose: Choose, mode: ClientCertificateMode = "off") {
  const server = createServer((raw) => {
    raw.on("error", () => {});
    accept(raw, choose, mode).catch(() => raw.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    port,
    shake: (client: Client = {}) => shake(port, client),
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

async function accept(raw: Socket, choose: Choose, mode: ClientCertificateMode): Promise<void> {
  const [head]: Buffer[] = await once(raw, "data");
  raw.pause();
  raw.unshift(head);
  const hello = decodeClientHello(head ?? Buffer.alloc(0));
  if (hello.kind !== "frame") throw new Error("the hello did not come in one piece");
  const secureContext = await choose(hello.value.serverName);
  if (!secureContext) throw new Error("no certificate");
  const tls = new TLSSocket(raw, {
    isServer: true,
    requestCert: mode !== "off",
    rejectUnauthorized: false,
    secureContext,
  });
  tls.on("error", () => raw.destroy());
  tls.once("secure", () => {
    const seen = { verdict: verdictOf(tls, mode), isResumed: tls.isSessionReused(), protocol: tls.getProtocol() };
    tls.end(JSON.stringify(seen));
  });
}

/** One handshake as a client; rejects when it fails. */
async function shake(port: number, { name, pair, session, version, ciphers }: Client): Promise<Shaken> {
  const socket = connect({
    port,
    host: "127.0.0.1",
    rejectUnauthorized: false, // the tests compare fingerprints, which proves more
    ...(name === undefined ? {} : { servername: name }),
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    ...(session === undefined ? {} : { session }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...pair,
  });
  const saw: { session: Buffer | undefined; chain: readonly X509Certificate[] } = { session: undefined, chain: [] };
  const told: Buffer[] = [];
  socket.on("session", (session) => Object.assign(saw, { session }));
  socket.on("secureConnect", () => Object.assign(saw, { chain: chainOf(socket.getPeerX509Certificate()) }));
  socket.on("data", (chunk) => told.push(chunk));
  await once(socket, "end");
  socket.destroy();
  const [own] = saw.chain;
  const chain = saw.chain.map(({ subject }) => subject);
  return {
    ...JSON.parse(Buffer.concat(told).toString()),
    fingerprint: own?.fingerprint256,
    chain,
    session: saw.session,
  };
}

function chainOf(certificate: X509Certificate | undefined): X509Certificate[] {
  return certificate ? [certificate, ...chainOf(certificate.issuerCertificate)] : [];
}
