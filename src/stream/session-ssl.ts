import type { TLSSocket } from "node:tls";
import type { ClientHello } from "../codecs/tls/client-hello.ts";
import type { SessionSsl } from "../upstream/session-facts.ts";

/** What a ClientHello alone tells of a session's TLS: all there is before the handshake, and on passthrough. */
export function sslOfHello(hello: ClientHello): SessionSsl {
  return {
    serverName: hello.serverName,
    protocol: undefined,
    cipher: undefined,
    alpn: undefined,
    verify: "NONE",
    clientCertificate: undefined,
    // Fingerprints cost two hashes; most sessions never ask.
    get ja3() {
      return hello.ja3;
    },
    get ja4() {
      return hello.ja4;
    },
  };
}

/** What is known once the handshake has ended. */
export function sslOfHandshake(hello: ClientHello, tls: TLSSocket, verify: string): SessionSsl {
  const shown = tls.getPeerX509Certificate();
  return Object.assign(sslOfHello(hello), {
    protocol: tls.getProtocol() ?? undefined,
    cipher: tls.getCipher().name,
    alpn: tls.alpnProtocol || undefined,
    verify,
    clientCertificate: shown && { subject: shown.subject, fingerprint: shown.fingerprint256, pem: shown.toString() },
  });
}
