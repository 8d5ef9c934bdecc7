import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { firstByteMs } from "../patience.ts";
import { BACKLOG, bind, ipOf, type Port, type PortOptions } from "../port.ts";
import { PortTrouble } from "../port-trouble.ts";
import type { Server } from "../server.ts";
import { MAX_SESSIONS, type NativeListen, type NativeRules } from "./addon.ts";
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

/** How an address is opened, whose name leads to `ip`; undefined: it is none of TCP, or open. */
type Opening = PortOptions & PortSharing & { readonly ip: string | undefined };

/** One open address of the native carrier. */
export class NativePort implements Port, PortEvents {
  readonly address: string;
  readonly fd: number;
  readonly #carrier: Carrier;
  readonly #listener: number;
  #serverName: string;
  #options: PortOptions;
  readonly #trouble: PortTrouble;

  private constructor(carrier: Carrier, endpoint: Endpoint, server: Server, options: Opening) {
    const rules = rulesOf(carrier, server, options);
    const listen = { ...placeOf(endpoint, options), ...rules };
    const { listener, port, fd } = carrier.listen(listen, this);
    this.#serverName = server.name;
    this.address = formatEndpoint(endpoint.kind === "tcp" ? { ...endpoint, port } : endpoint);
    this.fd = fd;
    this.#carrier = carrier;
    this.#listener = listener;
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
    const isOpen = options.listenFd !== undefined;
    const open = async (): Promise<NativePort> => {
      const ip = endpoint.kind === "tcp" && !isOpen ? (await ipOf(endpoint.host)).address : undefined;
      return new NativePort(carrier, endpoint, server, { ...options, ip });
    };
    return bind(endpoint, open, { isOpen });
  }

  get serverName(): string {
    return this.#serverName;
  }

  adopt(server: Server, options: PortOptions): void {
    this.#serverName = server.name;
    this.#options = options;
    this.#carrier.engine.adjust(this.#listener, rulesOf(this.#carrier, server, options));
  }

  /** Accepts no more for now: the address stays open, and its clients wait in the kernel's queue or go to whoever shares it. */
  pause(): void {
    this.#carrier.engine.pause(this.#listener);
  }

  resume(): void {
    this.#carrier.engine.resume(this.#listener);
  }

  close(): Promise<void> {
    this.#trouble.stop();
    return this.#carrier.unlisten(this.#listener);
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

function placeOf(
  endpoint: Endpoint,
  { ip, ipv6Only, reusePort = false, listenFd }: Opening,
): Omit<NativeListen, keyof NativeRules> {
  const isOpen = listenFd !== undefined;
  return {
    host: ip,
    path: endpoint.kind === "unix" && !isOpen ? endpoint.path : undefined,
    listenFd,
    reusePort,
    port: endpoint.kind === "tcp" ? endpoint.port : 0,
    backlog: BACKLOG,
    ipv6Only,
  };
}

function rulesOf(carrier: Carrier, server: Server, { noDelay, keepAliveMs }: PortOptions): NativeRules {
  return {
    noDelay,
    keepAliveMs,
    waits: waitsForBytes(server),
    firstByteMs: shortestWaitMs(server),
    headBytes: server.preread.maxBytes,
    group: carrier.groupOf(server.name),
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
