import { connect, isIP, type Socket } from "node:net";
import { connect as secure, type TLSSocket } from "node:tls";
import { formatEndpoint } from "../codecs/address.ts";
import { type ErrorCode, GatewayError, messageOf } from "../errors.ts";
import { abortError, type Life } from "./abort.ts";
import { connectFailure } from "./connect-failure.ts";
import { network } from "./network.ts";
import type { PeerEndpoint } from "./peer-endpoint.ts";
import type { PeerSsl } from "./peer-ssl.ts";
import { type JudgePeer, judgePeer } from "./peer-verdict.ts";

/** What belongs to one session and not to the peer. */
export interface DialOptions {
  /** Sent first, in front of TLS: a PROXY header. */
  readonly preface?: Uint8Array | undefined;
  readonly life?: Life | undefined;
  /** Judges the certificate of a peer with TLS. The time to connect does not run on meanwhile: its own limit is its caller's. */
  readonly judge?: JudgePeer | undefined;
}

/** A connected peer. */
export interface Dialed {
  /** Where bytes are read and written: paused, nothing read from it yet. */
  readonly stream: Socket;
  /** The TCP or unix socket itself; the same as `stream` where there is no TLS. */
  readonly transport: Socket;
}

/** What may wait in JavaScript per direction before its source is stopped; Node's 16 KiB would stop it at every chunk. */
export const BUFFER_BYTES = 65_536;

/** Idle time before keepalive probes: half-dead peers are found within minutes, sleeping links are not woken too often. */
export const KEEP_ALIVE_MS = 60_000;

/**
 * Connects once, to one address. Rejects with nothing left open.
 * The sockets keep a silent `error` listener: one that breaks before its owner listens must not end the process,
 * and `destroyed` tells the owner of it.
 * @throws GatewayError RC_PEER_CONNECT, RC_PEER_CONNECT_TIMEOUT, RC_PEER_TLS, or why the life ended.
 */
export async function dial(peer: PeerEndpoint, { preface, life, judge }: DialOptions = {}): Promise<Dialed> {
  if (life?.isOver) throw abortError(life.signal);
  const where = formatEndpoint(peer.endpoint);
  const transport = open(peer);
  let stream: Socket = transport;
  const expire = (): void => {
    const detail = stream === transport ? where : `${where}: TLS handshake`;
    stream.destroy(new GatewayError("RC_PEER_CONNECT_TIMEOUT", detail));
  };
  const abort = (): void => void (life && stream.destroy(abortError(life.signal)));
  const signal = life?.signal;
  const timer = setTimeout(expire, peer.connectTimeoutMs);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await arrival(transport, "connect", { code: "RC_PEER_CONNECT", where });
    if (preface && preface.length > 0) transport.write(preface);
    if (peer.ssl) {
      const secured = startTls(transport, peer, { ssl: peer.ssl, judge });
      stream = secured;
      await arrival(stream, "secureConnect", { code: "RC_PEER_TLS", where });
      clearTimeout(timer);
      if (judge)
        await judgement(secured, judge, { serverName: nameOf(peer, peer.ssl), verify: peer.ssl.verify, where });
    }
    return { stream: stream.pause(), transport };
  } catch (cause) {
    stream.destroy();
    transport.destroy();
    throw cause;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Paused from the start: bytes of a peer that speaks first stay where they are until somebody asks. */
function open(peer: PeerEndpoint): Socket {
  const socket = network.getStore()?.connect(peer) ?? systemSocket(peer);
  return socket.on("error", ignore).pause();
}

function systemSocket({ endpoint, localAddress }: PeerEndpoint): Socket {
  const shared = {
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    highWaterMark: BUFFER_BYTES,
  };
  return endpoint.kind === "unix"
    ? connect({ ...shared, path: endpoint.path })
    : connect({
        ...shared,
        host: endpoint.host,
        port: endpoint.port,
        autoSelectFamily: false, // one address is one attempt; others are tried by the caller
        ...(localAddress !== undefined && { localAddress }),
      });
}

function startTls(transport: Socket, peer: PeerEndpoint, { ssl, judge }: { ssl: PeerSsl } & DialOptions): TLSSocket {
  const name = nameOf(peer, ssl);
  const stream = secure({
    socket: transport,
    host: name, // what the certificate is verified against
    secureContext: ssl.context,
    rejectUnauthorized: ssl.verify && !judge,
    ...(isIP(name) === 0 && { servername: name }), // RFC 6066 §3: no IP addresses
    ...(ssl.alpn.length > 0 && { ALPNProtocols: [...ssl.alpn] }),
  });
  stream.on("error", ignore);
  return stream;
}

/** The name to ask for, and to compare with the certificate. */
function nameOf({ endpoint }: PeerEndpoint, { serverName }: PeerSsl): string {
  return serverName ?? (endpoint.kind === "tcp" ? endpoint.host : "localhost");
}

/** A peer that breaks off while it is judged, and a session that ends, do not wait for the verdict. */
function judgement(stream: TLSSocket, judge: JudgePeer, facts: Parameters<typeof judgePeer>[2]): Promise<void> {
  stream.pause();
  return new Promise((resolve, reject) => {
    const onError = (cause: unknown): void => reject(wrapped(cause, { code: "RC_PEER_TLS", where: facts.where }));
    const onClose = (): void => onError(new Error("closed"));
    stream.on("error", onError).on("close", onClose);
    judgePeer(stream, judge, facts)
      .then(resolve, reject)
      .finally(() => stream.off("error", onError).off("close", onClose));
  });
}

/** Resolves on the event, rejects on an error or close before it. An error of ours, given to `destroy`, stays itself. */
function arrival(
  socket: Socket,
  event: "connect" | "secureConnect",
  failure: { readonly code: ErrorCode; readonly where: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      socket.off(event, onArrival).off("error", onError).off("close", onClose);
      settle();
    };
    const onArrival = (): void => finish(resolve);
    const onError = (cause: unknown): void => finish(() => reject(wrapped(cause, failure)));
    const onClose = (): void => onError(new Error("closed"));
    socket.on(event, onArrival).on("error", onError).on("close", onClose);
  });
}

function wrapped(cause: unknown, { code, where }: { readonly code: ErrorCode; readonly where: string }): GatewayError {
  if (cause instanceof GatewayError) return cause;
  if (code === "RC_PEER_TLS") return new GatewayError(code, `${where}: ${tlsReason(cause)}`, { cause });
  return connectFailure(where, connectReason(cause), cause);
}

/** `ECONNREFUSED`: the rest of Node's message repeats the address. */
function connectReason(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : messageOf(cause);
}

/** OpenSSL's words, without the source file and line around them, and without the advice that Node 24 adds. */
function tlsReason(cause: unknown): string {
  if (cause instanceof Error && "reason" in cause && typeof cause.reason === "string") return cause.reason;
  return messageOf(cause).replace(/; if the root CA is .*$/, "");
}

function ignore(): void {}
