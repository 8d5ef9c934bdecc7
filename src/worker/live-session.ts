import type { Connection } from "../stream/connection.ts";
import type { Phase } from "../stream/session.ts";

/** A session as an operator sees it while it lives, in the words of the access line. */
export interface LiveSession {
  readonly session: string;
  readonly server: string;
  readonly protocol: string | undefined;
  readonly remote_addr: string;
  readonly remote_port: number;
  /** Where the client connected to. nginx: `$server_addr`, `$server_port`. */
  readonly server_addr: string;
  readonly server_port: number;
  readonly upstream: string | undefined;
  /** The peer that is connected, or was tried last. */
  readonly upstream_addr: string | undefined;
  readonly phase: Phase;
  /** Bytes so far, also while the kernel carries them. */
  readonly bytes_received: number;
  readonly bytes_sent: number;
  readonly age_ms: number;
  /** Who has the client's socket. While the native carrier has it, JavaScript sees first bytes at most. */
  readonly carrier: "native" | "node";
}

/** Looks at a session without stopping it: some numbers are read, nothing is asked and nobody waits. */
export function liveSession(session: Connection): LiveSession {
  const { remote, local } = session;
  return {
    session: session.id,
    server: session.server,
    protocol: session.protocol,
    remote_addr: remote.host,
    remote_port: remote.port,
    server_addr: local.host,
    server_port: local.port,
    upstream: session.upstream,
    upstream_addr: session.peer,
    phase: session.phase,
    bytes_received: session.bytesReceived,
    bytes_sent: session.bytesSent,
    age_ms: Math.round(session.sessionTimeMs),
    carrier: session.carrier,
  };
}
