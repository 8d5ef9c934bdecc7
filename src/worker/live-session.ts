import type { SilentClient } from "../stream/carrier/carrier.ts";
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

/** Names of clients without a first byte, which are no sessions yet: the engine's numbers behind it. */
const SILENT = "silent-";

/** A client of the native carrier that has said nothing yet. When it does, it becomes a session with a name of its own. */
export function silentSession({ session, serverName, remote, local, acceptedAt }: SilentClient): LiveSession {
  return {
    session: `${SILENT}${session}`,
    server: serverName,
    protocol: undefined,
    remote_addr: remote.host,
    remote_port: remote.port,
    server_addr: local.host,
    server_port: local.port,
    upstream: undefined,
    upstream_addr: undefined,
    phase: "preread",
    bytes_received: 0,
    bytes_sent: 0,
    age_ms: Math.round(performance.now() - acceptedAt),
    carrier: "native",
  };
}

/** The engine's number in such a name; undefined: it is none. */
export function silentNumber(name: string): number | undefined {
  return /^silent-\d{1,16}$/.test(name) ? Number(name.slice(SILENT.length)) : undefined;
}
