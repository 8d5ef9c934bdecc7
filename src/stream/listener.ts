import { createServer, type Server as NetServer, type Socket } from "node:net";
import { type Address, type Endpoint, formatEndpoint } from "../codecs/address.ts";
import { messageOf } from "../errors.ts";
import { BUFFER_BYTES } from "../upstream/dial.ts";
import { incomingSocket, incomingWire } from "./incoming.ts";
import { BACKLOG, bind, type Port, type PortOptions } from "./port.ts";
import { PortTrouble } from "./port-trouble.ts";
import type { Server } from "./server.ts";
import { acceptWires } from "./wire/acceptor.ts";
import { loadWires } from "./wire/load-wires.ts";
import type { Wire } from "./wire/wire.ts";
import type { Wires } from "./wire/wires.ts";

/** Pause before a port is opened again after accept has failed: long enough not to spin, short against a client's patience. */
const ACCEPT_PAUSE_MS = 100;

/** Addresses that stand for all of the machine's. */
const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** A socket that listens already, opened by another process. */
export interface Inherited {
  /** A handle of Node's; it is the listener's to close. */
  readonly socket: object;
  /** Another copy of it, after this process had to close the one that it had. */
  readonly again: () => Promise<{ close(): void }>;
}

/** One open address, by `node:net`. */
export class Listener implements Port {
  readonly server: NetServer;
  #options: PortOptions;
  readonly #trouble: PortTrouble;
  #bound: Endpoint;
  #local: Address;
  /** The address of all clients' connections here, unless it listens on many. */
  #only: Address | undefined;
  #wires: Wires | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #inherited: Inherited | undefined;
  #closed = false;

  private constructor(endpoint: Endpoint, options: PortOptions, inherited: Inherited | undefined) {
    this.#options = options;
    this.#inherited = inherited;
    this.#bound = endpoint;
    this.#local = { host: formatEndpoint(endpoint), port: 0 };
    this.#trouble = new PortTrouble(options.log, () => this.address);
    const tcp = { highWaterMark: BUFFER_BYTES, allowHalfOpen: true, pauseOnConnect: true };
    this.server = createServer(tcp, (socket) => this.#accept(socket));
  }

  /** Opens the address, or listens at a socket that the process was given. @throws BindError */
  static open(endpoint: Endpoint, options: PortOptions, inherited?: Inherited): Promise<Listener> {
    const open = async (): Promise<Listener> => {
      const listener = new Listener(endpoint, options, inherited);
      listener.#wires = endpoint.kind === "tcp" ? await loadWires() : undefined;
      await listener.#listen(inherited?.socket);
      return listener;
    };
    return bind(endpoint, open, { isOpen: inherited !== undefined });
  }

  get address(): string {
    return formatEndpoint(this.#bound);
  }

  /** `net` does not tell; its handle does. */
  get fd(): number {
    const handle: unknown = Reflect.get(this.server, "_handle");
    const fd = typeof handle === "object" && handle !== null && "fd" in handle ? handle.fd : undefined;
    return typeof fd === "number" ? fd : -1;
  }

  adopt(_server: Server, options: PortOptions): void {
    this.#options = options;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#trouble.stop();
    this.server.close();
  }

  #listen(inherited?: object): Promise<void> {
    const at =
      this.#bound.kind === "unix" ? { path: this.#bound.path } : { host: this.#bound.host, port: this.#bound.port };
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      const onListening = (): void => {
        this.server.off("error", reject);
        this.server.on("error", this.#pause);
        this.#learnAddress();
        if (this.#wires)
          acceptWires(
            this.server,
            this.#wires,
            () => this.#options,
            (wire) => this.#acceptWire(wire),
          );
        resolve();
      };
      if (inherited) this.server.listen(inherited, BACKLOG, onListening);
      else this.server.listen({ ...at, backlog: BACKLOG, ipv6Only: this.#options.ipv6Only }, onListening);
    });
  }

  #learnAddress(): void {
    const bound = this.server.address();
    if (bound === null || typeof bound === "string" || this.#bound.kind === "unix") return;
    this.#bound = { kind: "tcp", host: this.#bound.host, port: bound.port };
    if (!WILDCARDS.has(bound.address)) this.#only = { host: bound.address, port: bound.port };
  }

  #acceptWire(wire: Wire): void {
    if (this.#options.hasRoom()) {
      this.#options.onIncoming(incomingWire(wire, this.#only));
      return;
    }
    this.#trouble.turnedAway();
    wire.close();
  }

  #accept(socket: Socket): void {
    if (!this.#options.hasRoom()) {
      this.#trouble.turnedAway();
      socket.destroy();
      return;
    }
    const { noDelay, keepAliveMs } = this.#options;
    if (noDelay) socket.setNoDelay(true);
    if (keepAliveMs > 0) socket.setKeepAlive(true, keepAliveMs);
    this.#options.onIncoming(incomingSocket(socket, this.#local));
  }

  /** libuv asks again at once after a failed accept (EMFILE): only closing the port stops it from spinning. */
  readonly #pause = (cause: Error): void => {
    this.#trouble.acceptFailed(messageOf(cause));
    this.server.off("error", this.#pause);
    this.server.close();
    this.#retry = setTimeout(() => void this.#reopen().catch(this.#pause), ACCEPT_PAUSE_MS);
  };

  /** Clients that come meanwhile wait in the kernel's queue where another process has the socket, too; else they are refused. */
  async #reopen(): Promise<void> {
    const socket = await this.#inherited?.again();
    if (this.#closed) socket?.close();
    else await this.#listen(socket);
  }
}
