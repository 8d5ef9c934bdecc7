import { hostname } from "node:os";
import type { Address } from "../codecs/address.ts";
import { ipToBytes } from "../codecs/ip.ts";
import type { ClientHello } from "../codecs/tls/client-hello.ts";
import { messageOf } from "../errors.ts";
import type { Attempt } from "../upstream/lease.ts";
import type { Log } from "./log.ts";
import type { LogSession, SetVariable, VariableValue } from "./session.ts";

/** Variables by name; undefined for one that has no value, or that there is not. */
export interface Vars {
  [name: string]: VariableValue | undefined;
}

/** A session as its variables see it. */
export interface VarsSource extends LogSession {
  /** Counts the sessions of this process. */
  readonly number: number;
  readonly attempts: readonly Attempt[];
  /** What a PROXY header said. */
  readonly proxied: { readonly remote: Address; readonly local: Address } | undefined;
  readonly relayed: { readonly bytesUp: number; readonly bytesDown: number } | undefined;
  /** For how long it was relayed; undefined when it was not. */
  readonly relayedMs: number | undefined;
  /** Only where `ssl` is known. */
  readonly hello: ClientHello;
}

/** Makes the variables of one session. */
export type MakeVars = (session: VarsSource) => Vars;

/** A variable that takes longer holds all sessions up, and is reported: it should have been a hook. */
const SLOW_SET_MS = 1;

/** How often one slow variable is reported. */
const REPORT_EVERY_MS = 60_000;

type Builtin = (session: VarsSource) => VariableValue | undefined;

/** nginx's stream variables under their names. Times are in seconds with milliseconds, numbers are numbers. */
const builtins: Readonly<Record<string, Builtin>> = {
  binary_remote_addr: ({ remote }) => latin1(ipToBytes(remote.host)),
  bytes_received: (session) => session.bytesReceived,
  bytes_sent: (session) => session.bytesSent,
  connection: ({ number }) => number,
  hostname: () => hostname(),
  msec: () => Date.now() / 1_000,
  pid: () => process.pid,
  protocol: () => "TCP",
  proxy_protocol_addr: ({ proxied }) => proxied?.remote.host,
  proxy_protocol_port: ({ proxied }) => proxied?.remote.port,
  proxy_protocol_server_addr: ({ proxied }) => proxied?.local.host,
  proxy_protocol_server_port: ({ proxied }) => proxied?.local.port,
  remote_addr: ({ remote }) => remote.host,
  remote_port: ({ remote }) => remote.port,
  server_addr: ({ local }) => local.host,
  server_port: ({ local }) => local.port,
  session_time: ({ sessionTimeMs }) => seconds(sessionTimeMs),
  ssl_alpn_protocol: ({ ssl }) => ssl?.alpn,
  ssl_cipher: ({ ssl }) => ssl?.cipher,
  ssl_client_cert: ({ ssl }) => ssl?.clientCertificate?.pem,
  ssl_client_fingerprint: ({ ssl }) => ssl?.clientCertificate?.fingerprint,
  ssl_client_s_dn: ({ ssl }) => ssl?.clientCertificate?.subject,
  ssl_client_verify: ({ ssl }) => (ssl?.protocol === undefined ? undefined : ssl.verify),
  ssl_preread_alpn_protocols: (session) => passedHello(session)?.alpn.join(","),
  ssl_preread_protocol: (session) => passedHello(session)?.versions[0],
  ssl_preread_server_name: (session) => passedHello(session)?.serverName,
  ssl_protocol: ({ ssl }) => ssl?.protocol,
  ssl_server_name: ({ ssl }) => ssl?.serverName,
  status: ({ status }) => status,
  time_iso8601: () => new Date().toISOString(),
  upstream_addr: ({ attempts }) => attempts.map(({ address }) => address).join(", ") || undefined,
  upstream_bytes_received: ({ relayed }) => relayed?.bytesDown,
  upstream_bytes_sent: ({ relayed }) => relayed?.bytesUp,
  upstream_connect_time: ({ attempts }) => perAttempt(attempts, ({ connectMs }) => connectMs),
  upstream_session_time: ({ attempts, relayedMs }) => perAttempt(attempts, ({ ok }) => (ok ? relayedMs : undefined)),
};

/** The hello of TLS that does not end here. */
function passedHello(session: VarsSource): ClientHello | undefined {
  return session.ssl && session.ssl.protocol === undefined ? session.hello : undefined;
}

/** A time for each peer that was tried, as nginx writes it: `-` where there is none. */
function perAttempt(
  attempts: readonly Attempt[],
  timeOf: (attempt: Attempt) => number | undefined,
): string | undefined {
  const times = attempts.map((attempt) => timeOf(attempt));
  return times.map((ms) => (ms === undefined ? "-" : seconds(ms))).join(", ") || undefined;
}

function seconds(ms: number): number {
  return Math.round(ms) / 1_000;
}

function latin1(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString("latin1");
}

/** One session's variables. Its server's accessors know whose they are. */
class SessionVars implements Vars {
  [name: string]: VariableValue | undefined;
  readonly #session: VarsSource;

  constructor(session: VarsSource) {
    this.#session = session;
  }

  static sessionOf(vars: SessionVars): VarsSource {
    return vars.#session;
  }
}

/**
 * Prepares the variables of a server's sessions: nginx's, and those of `phases.set`. Nothing is computed before it is asked for.
 * nginx's cannot be written; one of `set`, and any other name, can.
 */
export function compileVars(set: Readonly<Record<string, SetVariable>>, log: Log): MakeVars {
  class ServerVars extends SessionVars {}
  const { prototype } = ServerVars;
  Object.setPrototypeOf(prototype, null); // so that `toString` is no variable
  Reflect.deleteProperty(prototype, "constructor");
  for (const [name, read] of Object.entries(builtins)) {
    Object.defineProperty(prototype, name, {
      get(this: SessionVars) {
        return read(SessionVars.sessionOf(this));
      },
    });
  }
  for (const [name, compute] of Object.entries(set)) defineSet(prototype, name, timed(name, compute, log));
  return (session) => new ServerVars(session);
}

function defineSet(prototype: SessionVars, name: string, compute: SetVariable): void {
  const keep = (vars: SessionVars, value: VariableValue | undefined): void => {
    Object.defineProperty(vars, name, { value, writable: true, enumerable: true, configurable: true });
  };
  Object.defineProperty(prototype, name, {
    get(this: SessionVars) {
      const value = compute(SessionVars.sessionOf(this));
      keep(this, value);
      return value;
    },
    set(this: SessionVars, value: VariableValue | undefined) {
      keep(this, value);
    },
  });
}

/** Computes a variable, and says in the log when that takes too long, or fails. */
function timed(name: string, compute: SetVariable, log: Log): SetVariable {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return (session) => {
    const began = performance.now();
    try {
      const value: unknown = compute(session);
      if (isVariable(value)) return value;
      throw new TypeError(`expected a boolean, a number or a text, got ${typeof value}`);
    } catch (cause) {
      throw new TypeError(`set.${name}: ${messageOf(cause)}`, { cause });
    } finally {
      const tookMs = performance.now() - began;
      if (tookMs > SLOW_SET_MS && began - reportedAt > REPORT_EVERY_MS) {
        reportedAt = began;
        log.warn("slow variable", { variable: name, server: session.server, ms: Math.round(tookMs * 10) / 10 });
      }
    }
  };
}

function isVariable(value: unknown): value is VariableValue | undefined {
  return value === undefined || ["boolean", "number", "string"].includes(typeof value);
}
