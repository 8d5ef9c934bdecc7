import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { firstByteMs } from "../patience.ts";
import { BACKLOG, bind, type Port, type PortOptions } from "../port.ts";
import { PortTrouble } from "../port-trouble.ts";
import type { Server } from "../server.ts";
import { MAX_SESSIONS, type NativeListen } from "./addon.ts";
import type { Carrier, PortEvents } from "./carrier.ts";
import type { NativeIncoming } from "./native-incoming.ts";

/** One open address of the native carrier. */
export class NativePort implements Port, PortEvents {
  readonly address: string;
  readonly #carrier: Carrier;
  readonly #listener: number;
  readonly #options: PortOptions;
  readonly #trouble: PortTrouble;

  private constructor(carrier: Carrier, listen: NativeListen, options: PortOptions) {
    const { listener, port } = carrier.listen(listen, this);
    const { host, path } = listen;
    this.address = formatEndpoint(
      host === undefined ? { kind: "unix", path: path ?? "" } : { kind: "tcp", host, port },
    );
    this.#carrier = carrier;
    this.#listener = listener;
    this.#options = options;
    this.#trouble = new PortTrouble(options.log, () => this.address);
  }

  /** Opens the address for a server. @throws BindError */
  static open(carrier: Carrier, endpoint: Endpoint, server: Server, options: PortOptions): Promise<NativePort> {
    return bind(endpoint, () => new NativePort(carrier, nativeListen(endpoint, server, options), options));
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

function nativeListen(endpoint: Endpoint, server: Server, options: PortOptions): NativeListen {
  const { noDelay, keepAliveMs, ipv6Only } = options;
  return {
    host: endpoint.kind === "tcp" ? endpoint.host : undefined,
    path: endpoint.kind === "unix" ? endpoint.path : undefined,
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
