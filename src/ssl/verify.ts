import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { messageOf } from "../errors.ts";
import type { ClientCertificateMode } from "./context.ts";

/** What is to be thought of a client's certificate, in the words of nginx's `$ssl_client_verify`. */
export type ClientVerdict = "SUCCESS" | "NONE" | `FAILED:${string}`;

/** Node's TLS handle, of which `verifyError` alone is needed: the documented `authorized` is filled inside `tls.Server` only. */
interface VerifyingHandle {
  verifyError(): unknown;
}

/**
 * The verdict on the client of a server-side `TLSSocket`, to be asked after the handshake, resumed ones included.
 * Whatever cannot be told is a failure. Only `SUCCESS` means that a trusted certificate was shown.
 */
export function verdictOf(socket: TLSSocket, mode: ClientCertificateMode): ClientVerdict {
  if (mode === "off") return "NONE";
  const handle: unknown = Reflect.get(socket, "_handle");
  if (!isVerifying(handle)) return "FAILED:no longer connected";
  // Asked first: for a resumed TLS 1.3 session without a certificate OpenSSL reports no error at all.
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) return "NONE";
  const error = handle.verifyError();
  if (error !== null && error !== undefined) return `FAILED:${opensslWords(error)}`;
  return verdictToday(shown);
}

/** A resumed session keeps the verdict of its first handshake, and may be renewed for ever; the certificate ends all the same. */
function verdictToday(shown: X509Certificate): ClientVerdict {
  const now = Date.now();
  if (!(now <= Date.parse(shown.validTo))) return "FAILED:certificate has expired";
  if (!(now >= Date.parse(shown.validFrom))) return "FAILED:certificate is not yet valid";
  return "SUCCESS";
}

/** Newer Nodes add advice of their own after a semicolon. */
function opensslWords(error: unknown): string {
  return messageOf(error).split(";")[0]?.trim() || "unknown reason";
}

function isVerifying(handle: unknown): handle is VerifyingHandle {
  return (
    typeof handle === "object" && handle !== null && "verifyError" in handle && typeof handle.verifyError === "function"
  );
}
