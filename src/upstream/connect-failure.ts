import { GatewayError } from "../errors.ts";

/** Failures of this machine: no peer is to blame, and the next one would not do better. */
const OURS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** What it means that the system refused a connect: RC_PEER_CONNECT, or RC_NO_SOCKET where we are short of something. */
export function connectFailure(where: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError(OURS.has(reason) ? "RC_NO_SOCKET" : "RC_PEER_CONNECT", `${where}: ${reason}`, { cause });
}
