import { KEEP_ALIVE_MS } from "../../upstream/dial.ts";
import { Reader, type ReadLimits, type Received, type RunEnd, type UntilOptions } from "../reader.ts";
import { type ConnectSettings, poolSizeOf } from "./connect-settings.ts";
import type { Outgoing } from "./outgoing.ts";
import { type Payload, payloadBytes } from "./payload.ts";
import type { Slot } from "./pool.ts";
import { pools } from "./pools.ts";
import {
  type Done,
  OK,
  type Sent,
  type SocketReadError,
  type SocketReadFailure,
  type SocketReceived,
} from "./results.ts";
import { Sender } from "./sender.ts";
import { shakeHands } from "./ssl-handshake.ts";
import { type SslHandshakeOptions, type SslSettings, sslSettingsOf } from "./ssl-settings.ts";
import { type Timeouts, type Times, timeoutOf, timesOf } from "./timeouts.ts";
import type { TlsSession } from "./tls-session.ts";

/** Where a socket's connection comes from and returns to. */
export interface Origin {
  readonly slot: Slot;
  readonly settings: ConnectSettings;
  /** How it speaks TLS. */
  readonly identity: string | undefined;
}

/** What {@link StreamSocket.sslHandshake} answers; `true` where no session was wanted. */
export type Secured<Session = TlsSession> =
  | { readonly session: Session; readonly err?: undefined }
  | { readonly err: string; readonly session?: undefined };

/** Reads up to a delimiter, as a reader's iterator does: all at once, or in chunks of about `size` bytes and then once `{}`. */
export interface SocketUntilIterator {
  (): Promise<SocketReceived>;
  (size: number): Promise<SocketReceived | RunEnd>;
}

/** What {@link StreamSocket.getOption} answers. */
export type OptionValue =
  | { readonly value: number; readonly err?: undefined }
  | { readonly err: string; readonly value?: undefined };

/** Options that Node can set on a connected socket. */
export type SocketOption = "keepalive" | "tcp-nodelay";

/** OpenResty: `lua_socket_keepalive_timeout`. */
const KEEPALIVE_MS = 60_000;
const EMPTY = Buffer.alloc(0);

/**
 * A connection that this process has opened, while somebody uses it: made by `connect`, gone with `close`, `setKeepalive` or
 * the end of its signal. One reads and one writes at a time; after that every call answers `closed`. OpenResty: `tcpsock`.
 */
export class StreamSocket {
  readonly #settings: ConnectSettings;
  #times: Times;
  #slot: Slot;
  #identity: string | undefined;
  #connection: Outgoing | undefined;
  /** Absent when the socket is closed. */
  #reader: Reader | undefined;
  #sender: Sender;
  #isReading = false;
  #isConnecting = false;

  constructor(connection: Outgoing, { slot, settings, identity }: Origin) {
    this.#settings = settings;
    this.#times = settings.times;
    this.#slot = slot;
    this.#identity = identity;
    this.#sender = this.#adopt(connection);
    settings.signal?.addEventListener("abort", this.#abort, { once: true });
    if (settings.signal?.aborted) this.#abort();
  }

  /** A line (`*l`, without LF and any CR), all until the end (`*a`), or exactly so many bytes. OpenResty: `receive`. */
  receive(pattern?: "*l" | "*a" | number | `${number}`, limits?: ReadLimits): Promise<SocketReceived> {
    return this.#read((reader) => reader.receive(pattern, limits));
  }

  /** What is there: at least one byte, at most `max`. OpenResty: `receiveany`. */
  receiveAny(max: number, limits?: Omit<ReadLimits, "maxBytes">): Promise<SocketReceived> {
    return this.#read((reader) => reader.receiveAny(max, limits));
  }

  /** Makes an iterator that reads up to a delimiter, which is consumed too. OpenResty: `receiveuntil`. */
  receiveUntil(delimiter: string | Uint8Array, options?: UntilOptions): SocketUntilIterator {
    const made = this.#reader;
    const next = made?.receiveUntil(delimiter, options);
    const read = (size?: number): Promise<SocketReceived | RunEnd> =>
      this.#read<Received | RunEnd>(async (reader) => {
        if (!next || reader !== made) return { err: "closed", partial: EMPTY }; // TLS began: these are other bytes
        return size === undefined ? next() : next(size);
      });
    function iterator(): Promise<SocketReceived>;
    function iterator(size: number): Promise<SocketReceived | RunEnd>;
    function iterator(size?: number): Promise<SocketReceived | RunEnd> {
      return read(size);
    }
    return iterator;
  }

  /** Sends; resolves when all of it is with the kernel. A time-out is fatal here. OpenResty: `send`. */
  async send(data: Payload): Promise<Sent> {
    const bytes = payloadBytes(data);
    if (!this.#reader) return { err: "closed" };
    if (this.#isConnecting) return { err: "socket busy connecting" };
    if (this.#sender.busy) return { err: "socket busy writing" };
    return this.#sender.send(bytes, this.#times.sendMs);
  }

  /** Half-closes: the peer sees the end, and may go on sending. OpenResty: `shutdown`. */
  shutdown(how: "send"): Done {
    if (how !== "send") throw new TypeError(`bad shutdown argument: ${String(how)}`);
    if (!this.#reader) return { err: "closed" };
    if (this.#isConnecting) return { err: "socket busy connecting" };
    return this.#sender.busy ? { err: "socket busy writing" } : this.#sender.shutdown();
  }

  /** Closes, unless somebody reads or writes at this moment. OpenResty: `close`. */
  close(): Done {
    const err = this.#refusal();
    if (err !== undefined) return { err };
    this.#end("closed");
    return OK;
  }

  [Symbol.dispose](): void {
    this.#end("closed");
  }

  /** Times for operations from now on; 0, or one not given, is the default. OpenResty: `settimeouts`. */
  setTimeouts(timeouts: Timeouts): void {
    this.#times = timesOf(timeouts);
    this.#reader?.setTimeout(this.#times.readMs);
  }

  /** The same time for all three. OpenResty: `settimeout`. */
  setTimeout(ms: number): void {
    this.setTimeouts({ connectMs: ms, sendMs: ms, readMs: ms });
  }

  /** How often this connection came out of a pool: 0 for a new one. OpenResty: `getreusedtimes`. */
  getReusedTimes(): number | { readonly err: "closed" } {
    return this.#reader && this.#connection ? this.#connection.reused : { err: "closed" };
  }

  /** 1 or true sets, 0 or false clears. The value stays with the connection, also in a pool. OpenResty: `setoption`. */
  setOption(name: SocketOption, value: number | boolean): Done {
    const connection = this.#reader && this.#connection;
    if (!connection) return { err: "closed" };
    if (!connection.options.has(name)) return { err: `unsupported option ${String(name)}` };
    const { transport } = connection.inlet;
    if (name === "keepalive") transport.setKeepAlive(Boolean(value), KEEP_ALIVE_MS);
    else transport.setNoDelay(Boolean(value));
    connection.options.set(name, Number(Boolean(value)));
    return OK;
  }

  /** OpenResty: `getoption`. */
  getOption(name: SocketOption): OptionValue {
    if (!this.#reader || !this.#connection) return { err: "closed" };
    const value = this.#connection.options.get(name);
    return value === undefined ? { err: `unsupported option ${String(name)}` } : { value };
  }

  /**
   * Begins TLS, or takes an idle connection which speaks this very TLS with the same pool; with a connection that speaks TLS
   * already it does nothing. Any failure closes. OpenResty: `sslhandshake`.
   */
  sslHandshake(options: SslHandshakeOptions & { readonly session: false }): Promise<Secured<true>>;
  sslHandshake(options?: SslHandshakeOptions): Promise<Secured>;
  async sslHandshake(options: SslHandshakeOptions = {}): Promise<Secured<TlsSession | true>> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return { err: refusal };
    this.#isConnecting = true;
    try {
      const err = this.#connection?.session ? undefined : await this.#secure(await sslSettingsOf(options));
      if (err !== undefined) this.#end(err, { isStuck: true });
      const session = this.#connection?.session;
      if (!session) return { err: err ?? "aborted" };
      return { session: options.session === false || session };
    } finally {
      this.#isConnecting = false;
    }
  }

  /** The newest session of this connection. OpenResty: `getsslsession`. */
  getSslSession(): Secured {
    if (!this.#reader) return { err: "closed" };
    const session = this.#connection?.session;
    if (!session) return { err: "no session" };
    return session.ticket ? { session } : { err: "not resumable session" };
  }

  /**
   * Puts the connection into its pool, for `idleMs` (default 60,000; 0: for ever), and closes this socket. `size` is the
   * pool's when this makes it. Refused, the socket stays as it is. OpenResty: `setkeepalive`.
   */
  async setKeepalive(idleMs: number = KEEPALIVE_MS, size?: number): Promise<Done> {
    const restMs = timeoutOf(idleMs, 0);
    const poolSize = poolSizeOf(size);
    const reader = this.#reader;
    const connection = this.#connection;
    const err = this.#refusal() ?? (connection && keepaliveRefusal(connection, this.#sender));
    if (err !== undefined || !connection) return { err: err ?? "closed" };
    this.#reader = undefined; // nobody may read or write while the kernel is asked
    const isDubious = await connection.isDubious();
    if (this.#connection !== connection) return { err: "aborted" };
    if (isDubious) {
      this.#reader = reader;
      return { err: "connection in dubious state" };
    }
    this.#release("closed");
    pools.keep(this.#settings.keyOf(this.#identity), connection, { slot: this.#slot, idleMs: restMs, size: poolSize });
    return OK;
  }

  /** Why the socket cannot be given away at this moment. */
  #refusal(): string | undefined {
    if (!this.#reader) return "closed";
    if (this.#isConnecting) return "socket busy connecting";
    if (this.#isReading) return "socket busy reading";
    return this.#sender.busy ? "socket busy writing" : undefined;
  }

  /** Runs one read with nobody else reading. */
  async #read<Result>(read: (reader: Reader) => Promise<Result>): Promise<Result | SocketReadFailure> {
    const reader = this.#reader;
    if (!reader) return failed("closed");
    if (this.#isConnecting) return failed("socket busy connecting");
    if (this.#isReading) return failed("socket busy reading");
    this.#isReading = true;
    try {
      const result = await read(reader);
      return this.#reader === reader ? result : failed("aborted");
    } finally {
      this.#isReading = false;
    }
  }

  /** Why TLS could not begin. */
  async #secure(ssl: SslSettings): Promise<string | undefined> {
    const connection = this.#connection;
    if (!connection) return "aborted";
    const { keyOf, pool, signal } = this.#settings;
    const endsAt = performance.now() + this.#times.connectMs;
    const limits = { timeoutMs: this.#times.connectMs, signal };
    const grant = await pools.acquire(keyOf(ssl.identity), pool, limits);
    if (grant.err !== undefined) return grant.err;
    this.#slot.release();
    this.#slot = grant.slot;
    this.#identity = ssl.identity;
    const timeoutMs = Math.max(1, Math.ceil(endsAt - performance.now()));
    const chosen = grant.connection ?? connection;
    const err = grant.connection ? undefined : await shakeHands(connection, ssl, { timeoutMs, signal });
    if (grant.connection) connection.close(); // it has served to learn that there is a better one
    if (err === undefined && this.#connection === connection) this.#sender = this.#adopt(chosen);
    else {
      chosen.close({ isStuck: true });
      grant.slot.release();
    }
    return err;
  }

  #adopt(connection: Outgoing): Sender {
    this.#connection = connection;
    this.#reader = new Reader(connection.inlet, { peekBytes: 0 });
    this.#reader.setTimeout(this.#times.readMs);
    return new Sender(connection.stream);
  }

  readonly #abort = (): void => this.#end("aborted", { isStuck: true });

  /** Closes; what waits answers `err`. */
  #end(err: string, { isStuck = this.#sender.failed } = {}): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#release(err);
    connection.close({ isStuck });
    this.#slot.release();
  }

  /** Lets go of the connection. */
  #release(err: string): void {
    this.#reader = undefined;
    this.#connection = undefined;
    this.#sender.stop(err);
    this.#settings.signal?.removeEventListener("abort", this.#abort);
  }
}

function keepaliveRefusal({ inlet }: Outgoing, sender: Sender): string | undefined {
  if (!sender.open) return "closed";
  if (inlet.size > 0) return "unread data in buffer";
  return inlet.ended ? "closed" : undefined;
}

function failed(err: SocketReadError): SocketReadFailure {
  return { err, partial: EMPTY };
}
