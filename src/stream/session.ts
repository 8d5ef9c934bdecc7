import type { ClientHello } from "../codecs/tls/client-hello.ts";
import type { EndCause } from "../errors.ts";
import type { Certificate } from "../ssl/certificate.ts";
import type { CertificateChoice, TlsVersions } from "../ssl/wish.ts";
import type { PeerChoice } from "../upstream/choice.ts";
import type { PeerPair } from "../upstream/peer-pairs.ts";
import type { PeerShown } from "../upstream/peer-verdict.ts";
import type { SessionFacts } from "../upstream/session-facts.ts";
import type { Action, RejectAction } from "./action.ts";
import type { BodyFilter } from "./filter/body-filter.ts";
import type { HttpTools, PrefaceTools } from "./filter/header-tools.ts";
import type { Reader, Received } from "./reader.ts";
import type { Task, TaskFunction } from "./task.ts";
import type { EndedTask } from "./tasks.ts";
import type { WorkerContext } from "./worker-context.ts";

/** A value, or a promise of it: every phase may await. */
export type Awaitable<T> = T | Promise<T>;

/** The phases of a session, in the order in which they run. */
export type Phase =
  | "proxyHeader"
  | "handshake"
  | "sslClientHello"
  | "sslCertificate"
  | "preread"
  | "rewrite"
  | "access"
  | "content"
  | "balancer"
  | "upstreamCertificate"
  | "upstreamVerify"
  | "proxy"
  | "headerFilter"
  | "bodyFilter"
  | "log";

/** The phases that run user code and have a time limit of their own: `phaseTimeoutMs`. */
export type HookPhase = Exclude<Phase, "proxyHeader" | "handshake" | "proxy" | "log">;

/** What every hook sees. */
export interface Session extends SessionFacts {
  readonly phase: Phase;
  /** Name of the upstream that the route chose. */
  readonly upstream: string | undefined;
  /** Aborts when the session ends, whatever ended it. */
  readonly signal: AbortSignal;
  /** The process that serves it. */
  readonly worker: WorkerContext;
}

/** What every hook but `log` may do: the session still runs. */
export interface RunningSession extends Session {
  /**
   * Ends the session, also inside of `try`: nothing that is written afterwards arrives, what was written before does. `status`
   * is that of the log line, -1 means 500. 0 ends only the phase, where something follows it: the session goes on as if the
   * hook had returned nothing. Not in `log`. OpenResty: `ngx.exit`.
   */
  exit(status: number): never;
  /**
   * Runs a function beside the hook, at once until it first waits. It lives until the session ends; what it throws is told to
   * whoever awaits the task, else logged. A content handler has not ended before its tasks have. OpenResty: `ngx.thread.spawn`.
   */
  spawn<Result>(work: TaskFunction<Result>): Task<Result>;
  /** Waits for the first of these tasks that ends. OpenResty: `ngx.thread.wait`. */
  waitAny<Result>(tasks: readonly Task<Result>[]): Promise<EndedTask<Result>>;
  /** Waits for all of these tasks, and answers their values in order. */
  waitAll<Result extends readonly Task[]>(
    tasks: Result,
  ): Promise<{ -readonly [Key in keyof Result]: Awaited<Result[Key]> }>;
  /**
   * Has a function run as a task when the client ends or resets while a hook still runs; a reset then no longer ends the session
   * by itself. @throws Error `duplicate call`. OpenResty: `ngx.on_abort`.
   */
  onAbort(work: TaskFunction<unknown>): void;
}

/** `phases.sslCertificate`: the hello is known, TLS has not begun. */
export interface SslSession extends RunningSession {
  readonly hello: ClientHello;
  /**
   * What an extension of the hello holds, as it came; undefined where the client did not send it. Types are IANA's. In
   * `sslClientHello` and `sslCertificate` only, since the bytes are not kept. OpenResty: `get_client_hello_ext`.
   */
  helloExtension(type: number): Buffer | undefined;
}

/** `phases.sslClientHello`: as {@link SslSession}, and nothing is chosen yet. */
export type SslClientHelloSession = SslSession;

/** `phases.upstreamCertificate` and `phases.upstreamVerify`, once per attempt. */
export interface UpstreamTlsSession extends RunningSession {
  /** Address of the peer of this attempt. */
  readonly peer: string | undefined;
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
export interface PrereadSession extends RunningSession, Talk {
  /** The first `size` unread bytes, without consuming them. */
  peek(size: number, options?: { readonly orLess?: boolean; readonly timeoutMs?: number }): Promise<Received>;
}

/** `phases.rewrite`: what will happen is known, and may still change; no byte may be read or written. */
export interface RewriteSession extends RunningSession {
  /** What the route, or `phases.preread`, decided. */
  readonly action: Action;
}

/** `phases.access`: allow or refuse; no byte may be read or written. */
export type AccessSession = RewriteSession;

/** `phases.balancer`, once per attempt. */
export interface BalancerSession extends RunningSession {
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Why the attempt before this one failed. */
  readonly lastFailure: string | undefined;
}

/** A `content` handler: the gateway itself is the server. */
export interface ContentSession extends RunningSession, Talk {
  /** Half-closes: the client sees the end, and may go on sending. */
  shutdown(how: "send"): Promise<void>;
  /** Writes the last bytes, then half-closes. OpenResty: `ngx.eof`. */
  end(bytes?: string | Uint8Array): Promise<void>;
}

/** `phases.headerFilter`: the peer is connected. */
export interface HeaderFilterSession extends RunningSession {
  /** Address of the peer. */
  readonly peer: string | undefined;
}

/** `phases.bodyFilter`: one object for both directions, for as long as the session is relayed. */
export interface FilterSession extends RunningSession {
  /** Address of the peer. */
  readonly peer: string | undefined;
  /** From the client so far. */
  readonly bytesReceived: number;
  /** To the client so far. */
  readonly bytesSent: number;
  /**
   * Sends bytes to a side, past the filters, behind what was sent there already; text is UTF-8. False when that side takes none
   * any more, and when it is slow: then they wait, and nothing is read on either side until it has taken them.
   */
  inject(side: "client" | "upstream", bytes: string | Uint8Array): boolean;
  /** Ends the session gently: no byte more is read, what filters still return is sent, then both sides see the end. */
  end(): void;
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

/** What a variable may be. */
export type VariableValue = boolean | number | string;

/** Computes a variable; synchronous, since whoever asks for it does not wait. */
export type SetVariable = (session: Session) => VariableValue | undefined;

/** Hooks of a server, each with the session as that phase may use it. */
export interface ServerPhases<Upstream extends string = string> {
  /** Looks at the hello before TLS begins: may refuse, and choose versions. OpenResty: `ssl_client_hello_by_lua`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  sslClientHello?(session: SslClientHelloSession): Awaitable<TlsVersions | RejectAction | undefined | void>;
  /**
   * Chooses the certificate, and whether the client is asked for one; undefined leaves both to `ssl`.
   * OpenResty: `ssl_certificate_by_lua`.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  sslCertificate?(session: SslSession): Awaitable<Certificate | CertificateChoice | RejectAction | undefined | void>;
  /** Overrides the route when it returns an action. OpenResty: `preread_by_lua`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  preread?(session: PrereadSession): Awaitable<Action<Upstream> | undefined | void>;
  /**
   * Variables by name, each computed by its function when it is first asked for, once per session: `session.vars.<name>`.
   * nginx: `set`.
   */
  readonly set?: Readonly<Record<string, SetVariable>>;
  /** Changes what will happen when it returns an action. nginx: the rewrite phase. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  rewrite?(session: RewriteSession): Awaitable<Action<Upstream> | undefined | void>;
  /** Refuses when it returns `reject(…)`. nginx: the access phase. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  access?(session: AccessSession): Awaitable<RejectAction | undefined | void>;
  /** Chooses the peer of one attempt, or refuses the client. OpenResty: `balancer_by_lua`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  balancer?(session: BalancerSession): Awaitable<PeerChoice | RejectAction | undefined | void>;
  /**
   * Chooses the certificate to show a peer with TLS; undefined: that of the upstream's `ssl`. OpenResty:
   * `proxy_ssl_certificate_by_lua`.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  upstreamCertificate?(session: UpstreamTlsSession): Awaitable<PeerPair | undefined | void>;
  /**
   * Judges the certificate that a peer has shown, before it gets a byte of the client: true or false, or undefined, which
   * leaves OpenSSL's verdict. OpenResty: `proxy_ssl_verify_by_lua`.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may end without return
  upstreamVerify?(session: UpstreamTlsSession, shown: PeerShown): Awaitable<boolean | undefined | void>;
  /**
   * With the peer connected: writes in front of what either side sends, before a byte of theirs is relayed. For HTTP/1 it runs
   * once per response instead, and edits its head; `tools.response` tells which of the two. What it returns does not matter.
   * OpenResty: `header_filter_by_lua`.
   */
  headerFilter?(session: HeaderFilterSession, tools: PrefaceTools | HttpTools): unknown;
  /** Sees and changes the bytes that are relayed. nginx has none for streams; for HTTP: `body_filter_by_lua`. */
  readonly bodyFilter?: BodyFilter;
  /** Runs once, last, for every accepted session. OpenResty: `log_by_lua`. */
  log?(session: LogSession): unknown;
}
