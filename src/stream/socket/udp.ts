import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { Alarm } from "../alarm.ts";
import { destinationOf, isLocalAddress } from "./destination.ts";
import { type Payload, payloadBytes } from "./payload.ts";
import { resolveHost } from "./resolve-host.ts";
import { type Done, OK, type Sent } from "./results.ts";
import { systemWords } from "./system-words.ts";
import { timeoutOf } from "./timeouts.ts";

/** How a UDP socket is made. */
export interface UdpOptions {
  /** Closes the socket: `session.signal`. */
  readonly signal?: AbortSignal | undefined;
  /** IP address to send from. OpenResty: `bind`. */
  readonly localAddress?: string | undefined;
}

/** What {@link UdpSocket.receive} answers: one datagram, or why there is none. */
export type Datagram =
  | { readonly data: Buffer; readonly err?: undefined }
  | { readonly err: string; readonly data?: undefined };

/** The longest datagram that is handed out; the rest of a longer one is lost. OpenResty: UDP_MAX_DATAGRAM_SIZE. */
const MAX_DATAGRAM_BYTES = 8_192;

/** Node reads datagrams whether somebody waits or not: what does not fit is dropped, as by the kernel's own buffer of this size. */
const MAX_INBOX_BYTES = 212_992;

/** What the kernel counts for each datagram besides its bytes, so that empty ones fill the buffer, too. */
const OVERHEAD_BYTES = 768;

/**
 * Makes a UDP socket, to be pointed at a peer with `setPeer`. In every phase, in timers and `init` hooks.
 * OpenResty: `ngx.socket.udp`.
 * @throws TypeError `bad address`, for a local address that is no IP address
 */
export function udp(options: UdpOptions = {}): UdpSocket {
  if (options.localAddress !== undefined && !isLocalAddress(options.localAddress)) throw new TypeError("bad address");
  return new UdpSocket(options);
}

/** Datagrams to and from one peer. OpenResty: `udpsock`. */
export class UdpSocket {
  readonly #options: UdpOptions;
  readonly #inbox: Buffer[] = [];
  readonly #alarm = new Alarm(() => this.#wake?.("timeout"));
  #inboxBytes = 0;
  #readMs = timeoutOf(0);
  #socket: Socket | undefined;
  /** An ICMP message that came while nobody was waiting. */
  #failure: string | undefined;
  #wake: ((err?: string) => void) | undefined;
  #isSending = false;
  #isConnecting = false;

  constructor(options: UdpOptions) {
    this.#options = options;
  }

  /** Chooses the peer, `host:port`, from whom alone datagrams are taken; again: another peer. OpenResty: `setpeername`. */
  async setPeer(address: string): Promise<Done> {
    const { endpoint, err } = destinationOf(address);
    if (err !== undefined) return { err };
    if (endpoint.kind === "unix") return { err: "unix datagram sockets are not supported" };
    const refusal = this.#busy();
    if (refusal !== undefined) return { err: refusal };
    this.#isConnecting = true;
    try {
      this.#end("closed");
      const { hosts, err: unknown } = await resolveHost(endpoint.host, this.#options.signal);
      if (unknown !== undefined) return { err: unknown };
      return await this.#connect(hosts[0] ?? endpoint.host, endpoint.port);
    } finally {
      this.#isConnecting = false;
    }
  }

  /** Sends one datagram. OpenResty: `send`. */
  async send(data: Payload): Promise<Sent> {
    const bytes = payloadBytes(data);
    const socket = this.#socket;
    if (!socket) return { err: this.#isConnecting ? "socket busy connecting" : "closed" };
    if (this.#isSending) return { err: "socket busy writing" };
    this.#isSending = true;
    const err = await new Promise<string | undefined>((resolve) => {
      socket.send(bytes, (cause) => resolve(cause ? systemWords(cause) : undefined));
    });
    this.#isSending = false;
    return err === undefined ? { sent: bytes.length } : { err };
  }

  /**
   * The next datagram, of which at most `size` bytes are kept. `connection refused` tells that nobody listens there.
   * OpenResty: `receive`.
   */
  async receive(size: number = MAX_DATAGRAM_BYTES): Promise<Datagram> {
    if (!Number.isInteger(size) || size <= 0) throw new TypeError(`bad size argument: ${size}`);
    if (!this.#socket) return { err: this.#isConnecting ? "socket busy connecting" : "closed" };
    if (this.#wake) return { err: "socket busy reading" };
    const err = this.#inbox.length > 0 ? undefined : (this.#takeFailure() ?? (await this.#next()));
    if (err !== undefined) return { err };
    const datagram = this.#inbox.shift();
    if (!datagram) return { err: "closed" };
    this.#inboxBytes -= datagram.length + OVERHEAD_BYTES;
    return { data: datagram.subarray(0, Math.min(size, MAX_DATAGRAM_BYTES)) };
  }

  /** How long `receive` waits from now on; 0 stands for the default, 60,000. OpenResty: `settimeout`. */
  setTimeout(ms: number): void {
    this.#readMs = timeoutOf(ms);
  }

  /** OpenResty: `close`. */
  close(): Done {
    const err = this.#busy() ?? (this.#socket ? undefined : "closed");
    if (err !== undefined) return { err };
    this.#end("closed");
    return OK;
  }

  [Symbol.dispose](): void {
    this.#end("closed");
  }

  #busy(): string | undefined {
    if (this.#isConnecting) return "socket busy connecting";
    if (this.#wake) return "socket busy reading";
    return this.#isSending ? "socket busy writing" : undefined;
  }

  async #connect(host: string, port: number): Promise<Done> {
    const { localAddress, signal } = this.#options;
    if (signal?.aborted) return { err: "aborted" };
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    try {
      if (localAddress !== undefined) socket.bind({ address: localAddress });
      socket.connect(port, host);
      await once(socket, "connect", signal ? { signal } : {});
    } catch (cause) {
      socket.on("error", ignore).close();
      return { err: signal?.aborted ? "aborted" : systemWords(cause) };
    }
    socket.on("message", this.#take).on("error", this.#fail);
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#socket = socket;
    return OK;
  }

  #next(): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#wake = (err) => {
        this.#wake = undefined;
        this.#alarm.set(Number.POSITIVE_INFINITY);
        resolve(err);
      };
      this.#alarm.set(performance.now() + this.#readMs);
    });
  }

  readonly #take = (datagram: Buffer): void => {
    if (this.#inboxBytes + datagram.length + OVERHEAD_BYTES > MAX_INBOX_BYTES) return;
    this.#inbox.push(datagram);
    this.#inboxBytes += datagram.length + OVERHEAD_BYTES;
    this.#wake?.();
  };

  readonly #fail = (cause: Error): void => {
    if (this.#wake) this.#wake(systemWords(cause));
    else this.#failure = systemWords(cause);
  };

  #takeFailure(): string | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  readonly #abort = (): void => this.#end("aborted");

  #end(err: string): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#inbox.length = this.#inboxBytes = 0;
    this.#failure = undefined;
    this.#wake?.(err);
    this.#alarm.stop();
    socket?.off("message", this.#take).off("error", this.#fail).on("error", ignore).close();
  }
}

function ignore(): void {}
