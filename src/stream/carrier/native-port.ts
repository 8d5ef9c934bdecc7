import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { messageOf } from "../../errors.ts";
import { OncePerSecond } from "../once-per-second.ts";
import { firstByteMs } from "../patience.ts";
import { BACKLOG, BindError, type Port, type PortOptions, removeStale } from "../port.ts";
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
  readonly #failures: OncePerSecond;
  readonly #drops: OncePerSecond;

  private constructor(carrier: Carrier, listen: NativeListen, options: PortOptions) {
    const { listener, port } = carrier.listen(listen, this);
    const { host, path } = listen;
    this.address = formatEndpoint(
      host === undefined ? { kind: "unix", path: path ?? "" } : { kind: "tcp", host, port },
    );
    this.#carrier = carrier;
    this.#listener = listener;
    this.#options = options;
    this.#failures = new OncePerSecond((count, reason) =>
      options.log.error("accept failed", { address: this.address, reason, count }),
    );
    this.#drops = new OncePerSecond((count) =>
      options.log.warn("no room for more sessions", { address: this.address, count }),
    );
  }

  /** Opens the address for a server. @throws BindError */
  static async open(carrier: Carrier, endpoint: Endpoint, server: Server, options: PortOptions): Promise<NativePort> {
    try {
      await removeStale(endpoint);
      return new NativePort(carrier, nativeListen(endpoint, server, options), options);
    } catch (cause) {
      throw new BindError(`cannot listen on ${formatEndpoint(endpoint)}: ${messageOf(cause)}`, { cause });
    }
  }

  close(): void {
    this.#carrier.unlisten(this.#listener);
    this.#failures.stop();
    this.#drops.stop();
  }

  onIncoming(incoming: NativeIncoming): void {
    if (this.#options.hasRoom()) {
      this.#options.onIncoming(incoming);
      return;
    }
    this.#drops.note("");
    incoming.refuse();
  }

  onTrouble(turnedAway: number, failures: number, errno: number): void {
    if (turnedAway > 0) this.#drops.note("", turnedAway);
    if (failures > 0) this.#failures.note(getSystemErrorName(-errno), failures);
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
