import type { Socket } from "node:net";
import { connect, createSecureContext, type PeerCertificate, type SecureVersion, TLSSocket } from "node:tls";

/** How a client or a peer speaks TLS. */
export interface PartyTls {
  /** The name that a client asks for. */
  readonly serverName?: string;
  readonly alpn?: readonly string[];
  /** PEM of the authority that must have signed what the gateway shows. Default: anything is accepted. */
  readonly ca?: string;
  /** PEM of what it shows itself: a peer has to, a client may. */
  readonly cert?: string;
  readonly key?: string;
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
}

/** What a client or a peer and the gateway have agreed on. */
export interface SecuredParty {
  readonly protocol: string;
  /** Undefined: none was agreed on. */
  readonly alpn: string | undefined;
  /** What the gateway has shown; undefined: nothing. */
  readonly certificate: PeerCertificate | undefined;
}

/** TLS in front of a socket. `onStream` is told at once, before a byte can come. Rejects with OpenSSL's words. */
export async function securedBy(
  socket: Socket,
  role: "client" | "peer",
  options: PartyTls,
  onStream: (stream: TLSSocket) => void,
): Promise<{ readonly stream: TLSSocket; readonly secured: SecuredParty }> {
  const stream = role === "client" ? asClient(socket, options) : asServer(socket, options);
  await new Promise<void>((resolve, reject) => {
    const fail = (cause = new Error("the gateway has ended the connection")): void =>
      reject(new Error(tlsWords(cause)));
    stream.once(role === "client" ? "secureConnect" : "secure", () => {
      onStream(stream);
      resolve();
    });
    stream.on("error", fail);
    stream.once("close", () => fail());
    socket.once("close", () => fail());
  });
  const shown = stream.getPeerCertificate();
  const certificate = Object.keys(shown).length > 0 ? shown : undefined;
  return {
    stream,
    secured: { protocol: stream.getProtocol() ?? "", alpn: stream.alpnProtocol || undefined, certificate },
  };
}

function asClient(socket: Socket, { serverName, alpn, ca, ...rest }: PartyTls): TLSSocket {
  return connect({
    socket,
    ...rest,
    rejectUnauthorized: ca !== undefined,
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { servername: serverName, host: serverName }),
    ...(alpn && { ALPNProtocols: [...alpn] }),
  });
}

function asServer(socket: Socket, { alpn, ca, cert, key, minVersion, maxVersion }: PartyTls): TLSSocket {
  const versions = { ...(minVersion && { minVersion }), ...(maxVersion && { maxVersion }) };
  return new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ cert, key, ca, ...versions }),
    requestCert: ca !== undefined,
    rejectUnauthorized: ca !== undefined,
    ALPNProtocols: alpn && [...alpn],
  });
}

/** OpenSSL's words, without the source file and line around them. */
export function tlsWords(cause: Error): string {
  return "reason" in cause && typeof cause.reason === "string" ? cause.reason : cause.message;
}
