import type { ClientHello } from "../codecs/tls/client-hello.ts";
import type { EndCause } from "../errors.ts";
import type { Certificate, Pem } from "../ssl/certificate.ts";
import type { PeerChoice } from "../upstream/choice.ts";
import type { SessionFacts } from "../upstream/session-facts.ts";
import type { Action, RejectAction } from "./action.ts";
import type { Reader, Received } from "./reader.ts";

/** A value, or a promise of it: every phase may await. */
export type Awaitable<T> = T | Promise<T>;

/** The phases of a session, in the order in which they run. */
export type Phase =
  | "proxyHeader"
  | "handshake"
  | "sslCertificate"
  | "preread"
  | "access"
  | "content"
  | "balancer"
  | "proxy"
  | "log";

/** What every hook sees. */
export interface Session extends SessionFacts {
  readonly phase: Phase;
  /** Name of the upstream that the route chose. */
  readonly upstream: string | undefined;
  /** Aborts when the session ends, whatever ended it. */
  readonly signal: AbortSignal;
}

/** `phases.sslCertificate`: the hello is known, TLS has not begun. */
export interface SslSession extends Session {
  readonly hello: ClientHello;
}

interface Talk {
  readonly reader: Reader;
  /** Sends to the client; resolves when the bytes are with the kernel. Text is UTF-8. */
  write(bytes: string | Uint8Array): Promise<void>;
  /**
   * Upgrades to TLS after a STARTTLS dialog. From then on `reader` is a new one, over the clear text; a second call answers the
   * same. OpenResty: `serversslhandshake`. Rejects with RC_TLS_PLAIN when plain bytes were pipelined behind the command.
   */
  startTls(): Promise<StartedTls>;
}

/** What a client and we agreed on. */
export interface StartedTls {
  readonly protocol: string;
  readonly cipher: string;
  readonly sessionReused: boolean;
}

/** `phases.preread`: the protocol is sniffed; bytes may be looked at, read and answered. */
export interface PrereadSession extends Session, Talk {
  /** The first `size` unread bytes, without consuming them. */
  peek(size: number, options?: { readonly orLess?: boolean; readonly timeoutMs?: number }): Promise<Received>;
}

/** `phases.access`: allow or refuse; no byte may be read or written. */
export type AccessSession = Session;

/** `phases.balancer`, once per attempt. */
export interface BalancerSession extends Session {
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Why the attempt before this one failed. */
  readonly lastFailure: string | undefined;
}

/** A `content` handler: the gateway itself is the server. */
export interface ContentSession extends Session, Talk {
  /** Half-closes: the client sees the end, and may go on sending. */
  shutdown(how: "send"): Promise<void>;
}

/** `phases.log`: everything is known. */
export interface LogSession extends Session {
  /** Address of the peer that was connected, or tried last. */
  readonly peer: string | undefined;
  readonly status: number;
  readonly endCause: EndCause;
  /** From the client. */
  readonly bytesReceived: number;
  /** To the client. */
  readonly bytesSent: number;
  readonly sessionTimeMs: number;
}

/** Hooks of a server, each with the session as that phase may use it. */
export interface ServerPhases<Upstream extends string = string> {
  /** Chooses the certificate; undefined leaves it to `ssl.certs`. OpenResty: `ssl_certificate_by_lua`. */
  sslCertificate?(session: SslSession): Awaitable<Certificate | Pem | RejectAction | undefined>;
  /** Overrides the route when it returns an action. OpenResty: `preread_by_lua`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  preread?(session: PrereadSession): Awaitable<Action<Upstream> | undefined | void>;
  /** Refuses when it returns `reject(…)`. nginx: the access phase. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  access?(session: AccessSession): Awaitable<RejectAction | undefined | void>;
  /** Chooses the peer of one attempt. OpenResty: `balancer_by_lua`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  balancer?(session: BalancerSession): Awaitable<PeerChoice | undefined | void>;
  /** Runs once, last, for every accepted session. OpenResty: `log_by_lua`. */
  log?(session: LogSession): unknown;
}
