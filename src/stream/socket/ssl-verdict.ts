import { checkServerIdentity, type TLSSocket } from "node:tls";

/** Node's names of OpenSSL's verdicts (X509_V_ERR_…), with the number and text that OpenResty shows. */
const VERDICTS: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: "2: unable to get issuer certificate",
  UNABLE_TO_GET_CRL: "3: unable to get certificate CRL",
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: "4: unable to decrypt certificate's signature",
  UNABLE_TO_DECRYPT_CRL_SIGNATURE: "5: unable to decrypt CRL's signature",
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: "6: unable to decode issuer public key",
  CERT_SIGNATURE_FAILURE: "7: certificate signature failure",
  CRL_SIGNATURE_FAILURE: "8: CRL signature failure",
  CERT_NOT_YET_VALID: "9: certificate is not yet valid",
  CERT_HAS_EXPIRED: "10: certificate has expired",
  CRL_NOT_YET_VALID: "11: CRL is not yet valid",
  CRL_HAS_EXPIRED: "12: CRL has expired",
  ERROR_IN_CERT_NOT_BEFORE_FIELD: "13: format error in certificate's notBefore field",
  ERROR_IN_CERT_NOT_AFTER_FIELD: "14: format error in certificate's notAfter field",
  ERROR_IN_CRL_LAST_UPDATE_FIELD: "15: format error in CRL's lastUpdate field",
  ERROR_IN_CRL_NEXT_UPDATE_FIELD: "16: format error in CRL's nextUpdate field",
  OUT_OF_MEM: "17: out of memory",
  DEPTH_ZERO_SELF_SIGNED_CERT: "18: self-signed certificate",
  SELF_SIGNED_CERT_IN_CHAIN: "19: self-signed certificate in certificate chain",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "20: unable to get local issuer certificate",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "21: unable to verify the first certificate",
  CERT_CHAIN_TOO_LONG: "22: certificate chain too long",
  CERT_REVOKED: "23: certificate revoked",
  PATH_LENGTH_EXCEEDED: "25: path length constraint exceeded",
  INVALID_PURPOSE: "26: unsuitable certificate purpose",
  CERT_UNTRUSTED: "27: certificate not trusted",
  CERT_REJECTED: "28: certificate rejected",
  INVALID_CA: "79: invalid CA certificate",
};
const UNKNOWN = "1: unspecified certificate verification error";

/**
 * Why the peer's certificate is not accepted, in OpenResty's words; undefined when it is. To be asked after the handshake of a
 * socket that was told not to refuse by itself, and not to look at the name.
 */
export function sslVerdict(stream: TLSSocket, serverName: string | undefined): string | undefined {
  if (!stream.authorized) return VERDICTS[String(stream.authorizationError)] ?? UNKNOWN;
  if (stream.isSessionReused()) return verdictToday(stream); // the name was checked before the first handshake's end
  const mismatch = serverName !== undefined && checkServerIdentity(serverName, stream.getPeerCertificate());
  return mismatch ? "certificate host mismatch" : undefined;
}

/** A resumed session keeps the verdict of its first handshake; the certificate ends all the same. */
function verdictToday(stream: TLSSocket): string | undefined {
  const shown = stream.getPeerX509Certificate();
  if (shown && Date.parse(shown.validTo) < Date.now()) return VERDICTS["CERT_HAS_EXPIRED"];
  return undefined;
}
