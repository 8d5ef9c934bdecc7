import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { firstByteMs } from "../patience.ts";
import { BACKLOG, bind, type Port, type PortOptions } from "../port.ts";
import { PortTrouble } from "../port-trouble.ts";
import type { Server } from "../server.ts";
import { MAX_SESSIONS, type NativeListen } from "./addon.ts";
import type { Carrier, PortEvents } from "./carrier.ts";
import type { NativeIncoming } from "./native-incoming.ts";

/** How several processes accept at one address; by default one does. */
export interface PortSharing {
  /**
   * Others of the same user may open the address too, and the kernel shares the clients out (SO_REUSEPORT; nginx: `reuseport`).
   * Not for one process: an address that is in use would go unnoticed. Not for unix sockets: those are inherited.
   */
  readonly reusePort?: boolean | undefined;
  /** A socket that listens already, opened by whoever started this process. The port has a copy, and closing it leaves the other. */
  readonly listenFd?: number | undefined;
}

/** One open address of the native carrier. */
export class NativePort implements Port, PortEvents {
  readonly address: string;
  /** The listening socket, for whoever hands it down; open until {@link close}. */
  fd: number;
  readonly #carrier: Carrier;
  readonly #endpoint: Endpoint;
  #listener: number;
  #listen: NativeListen;
  #options: PortOptions;
  readonly #trouble: PortTrouble;

  private constructor(carrier: Carrier, endpoint: Endpoint, listen: NativeListen, options: PortOptions) {
    const { listener, port, fd } = carrier.listen(listen, this);
    this.address = formatEndpoint(endpoint.kind === "tcp" ? { ...endpoint, port } : endpoint);
    this.fd = fd;
    this.#carrier = carrier;
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#listen = listen;
    this.#options = options;
    this.#trouble = new PortTrouble(options.log, () => this.address);
  }

  /** Opens the address for a server, or accepts at it where it is open already. @throws BindError */
  static open(
    carrier: Carrier,
    endpoint: Endpoint,
    server: Server,
    options: PortOptions & PortSharing,
  ): Promise<NativePort> {
    const listen = nativeListen(endpoint, server, options);
    const isOpen = options.listenFd !== undefined;
    return bind(endpoint, () => new NativePort(carrier, endpoint, listen, options), { isOpen });
  }

  /** The engine accepts by other rules at the same socket: another listener of its own takes over, and the kernel's queue is kept. */
  adopt(server: Server, options: PortOptions): void {
    const listen = nativeListen(this.#endpoint, server, { ...options, listenFd: this.fd });
    this.#options = options;
    if (isEqual(listen, this.#listen)) return;
    const before = this.#listener;
    const { listener, fd } = this.#carrier.listen(listen, this);
    this.#carrier.unlisten(before);
    this.#listener = listener;
    this.#listen = listen;
    this.fd = fd;
  }

  /** Accepts no more for now: the address stays open, and its clients wait in the kernel's queue or go to whoever shares it. */
  pause(): void {
    this.#carrier.engine.pause(this.#listener);
  }

  resume(): void {
    this.#carrier.engine.resume(this.#listener);
  }

  close(): void {
    this.#carrier.unlisten(this.#listener);
    this.#trouble.stop();
  }

  onIncoming(incoming: NativeIncoming): void {
    if (this.#options.hasRoom()) {
      this.#options.onIncoming(incoming);
      return;
    }
    this.#trouble.turnedAway();
    incoming.refuse();
  }

  onTrouble(turnedAway: number, failures: number, errno: number): void {
    if (turnedAway > 0) this.#trouble.turnedAway(turnedAway);
    if (failures > 0) this.#trouble.acceptFailed(getSystemErrorName(-errno), failures);
  }
}

/** Whether the engine would do the same by both, whoever opened the socket. */
function isEqual(left: NativeListen, right: NativeListen): boolean {
  return RULES.every((rule) => left[rule] === right[rule]);
}

const RULES = ["noDelay", "keepAliveMs", "waits", "firstByteMs", "headBytes", "maxSessions"] as const;

function nativeListen(
  endpoint: Endpoint,
  server: Server,
  { noDelay, keepAliveMs, ipv6Only, reusePort = false, listenFd }: PortOptions & PortSharing,
): NativeListen {
  const isOpen = listenFd !== undefined;
  return {
    host: endpoint.kind === "tcp" && !isOpen ? endpoint.host : undefined,
    path: endpoint.kind === "unix" && !isOpen ? endpoint.path : undefined,
    listenFd,
    reusePort,
    port: endpoint.kind === "tcp" ? endpoint.port : 0,
    backlog: BACKLOG,
    noDelay,
    keepAliveMs,
    ipv6Only,
    waits: waitsForBytes(server),
    firstByteMs: shortestWaitMs(server),
    headBytes: server.preread.maxBytes,
    maxSessions: Math.min(server.maxConns ?? MAX_SESSIONS, MAX_SESSIONS),
  };
}

/** False where nothing depends on the first bytes: then the client is served at once, whether it speaks or not. */
function waitsForBytes({ routes, ssl, proxyHeader }: Server): boolean {
  if (proxyHeader || (ssl && ssl.mode !== "starttls")) return true;
  if (routes.silent?.afterMs === 0) return false;
  return routes.sniffers.length > 0 || routes.silent !== undefined;
}

/** The first moment at which a client's silence may mean something. */
function shortestWaitMs({ preread, routes, ssl, proxyHeader }: Server): number {
  const waits = [firstByteMs(preread.timeoutMs, routes.silent?.afterMs)];
  if (proxyHeader) waits.push(proxyHeader.timeoutMs);
  if (ssl) waits.push(ssl.handshakeTimeoutMs);
  return Math.min(...waits);
}
