import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Endpoint, parseEndpoint } from "../../../src/codecs/address.ts";
import type { CarryOptions } from "../../../src/stream/carry.ts";
import type { Incoming } from "../../../src/stream/incoming.ts";
import type { Port } from "../../../src/stream/port.ts";
import type { Relay, RelayCause } from "../../../src/stream/relay.ts";
import type { PeerEndpoint } from "../../../src/upstream/peer-endpoint.ts";

/** A carrier as the laws see it: something that accepts clients. */
export interface TestedCarrier {
  /** Opens an address. `waits`: clients may be kept back until their first byte. */
  listen(endpoint: Endpoint, options: ListenOptions): Promise<Port>;
  /** Places that are taken in it. */
  sessions(): number;
  stop(): void;
}

export interface ListenOptions {
  readonly waits: boolean;
  readonly hasRoom: () => boolean;
  readonly onIncoming: (incoming: Incoming) => void;
}

/** A client that the carrier has accepted, and its other end. */
export interface Accepted {
  readonly incoming: Incoming;
  readonly client: Socket;
}

/** How a client begins. */
export interface Opening {
  readonly says?: string | Buffer;
  /** Its end follows at once. */
  readonly ends?: boolean;
  readonly at?: Place;
}

/** Where clients connect to, in the words of a configuration. */
export type Place = "127.0.0.1:0" | "[::1]:0" | "[::]:0" | "unix";

/** A carrier with its ports, its clients and the peers that it connects to. What a test opens is closed after it. */
export class CarrierBench {
  /** False: clients are turned away. */
  hasRoom = true;
  readonly carrier: TestedCarrier;
  readonly #folder = mkdtempSync(join(tmpdir(), "restyconf-laws-"));
  readonly #ports = new Map<string, { readonly port: Port; readonly inbox: Inbox }>();
  readonly #listening: Peer[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(carrier: TestedCarrier) {
    this.carrier = carrier;
  }

  /** A client connects, and says something at once or nothing. */
  async accept({ says, ends = false, at = "127.0.0.1:0" }: Opening = {}): Promise<Accepted> {
    const { inbox, endpoint } = await this.port(says === undefined ? "open" : "waits", at);
    const client = this.dial(endpoint);
    await once(client, "connect");
    if (ends) client.end(says ?? "");
    else if (says !== undefined) client.write(says);
    return { client, incoming: await inbox.take(endpoint.kind === "unix" ? 0 : client.localPort) };
  }

  /** A client's socket that nobody has accepted yet. */
  dial(endpoint: Endpoint): Socket {
    const halfOpen = { allowHalfOpen: true, noDelay: true };
    if (endpoint.kind === "unix") return this.keep(connect({ ...halfOpen, path: endpoint.path }));
    return this.keep(connect({ ...halfOpen, host: hostOf(endpoint.host), port: endpoint.port }));
  }

  /** A port of the carrier, opened when it is first asked for. `open`: clients come in before they say anything. */
  async port(kind: "open" | "waits", at: Place = "127.0.0.1:0"): Promise<{ inbox: Inbox; endpoint: Endpoint }> {
    const name = `${kind} ${at}`;
    let opened = this.#ports.get(name);
    if (!opened) {
      const inbox = new Inbox();
      const options = { waits: kind === "waits", hasRoom: () => this.hasRoom, onIncoming: inbox.put };
      opened = { inbox, port: await this.carrier.listen(endpointOf(at === "unix" ? this.path() : at), options) };
      this.#ports.set(name, opened);
    }
    return { inbox: opened.inbox, endpoint: endpointOf(opened.port.address) };
  }

  /** Closes a port, so that the next one of this name is a new one. */
  closePort(kind: "open" | "waits", at: Place = "127.0.0.1:0"): void {
    void this.#ports.get(`${kind} ${at}`)?.port.close();
    this.#ports.delete(`${kind} ${at}`);
  }

  /** An accepted client whose bytes go to a peer, and the peer's end. */
  async relayed({ to, relay: options, ...opening }: RelayedOptions = {}): Promise<Relayed> {
    const accepted = await this.accept(opening);
    const peer = await this.peer(to);
    const relay = await accepted.incoming.relayTo(peer.endpoint, relayOptions(options));
    return { ...accepted, relay, peer: await peer.next(), ended: endOf(relay) };
  }

  /** A peer of the test's own. */
  async peer(at: Place = "127.0.0.1:0"): Promise<Peer> {
    const peer = new Peer(this);
    this.#listening.push(peer);
    await peer.listen(endpointOf(at === "unix" ? this.path() : at));
    return peer;
  }

  keep(socket: Socket): Socket {
    socket.on("error", () => {}); // the tests look at what arrives
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  path(): string {
    return `unix:${join(this.#folder, `${Math.random().toString(36).slice(2)}.sock`)}`;
  }

  /** Closes what a test has left open. */
  async clear(): Promise<void> {
    this.hasRoom = true;
    await Promise.all([...this.#ports.values()].map(({ inbox }) => inbox.clear()));
    const closed = [...this.#sockets].map((socket) => once(socket, "close"));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
    await Promise.all(this.#listening.splice(0).map((peer) => peer.close()));
  }

  stop(): void {
    for (const { port } of this.#ports.values()) void port.close();
    this.carrier.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface RelayedOptions extends Opening {
  readonly to?: Place;
  readonly relay?: Partial<CarryOptions>;
}

export interface Relayed extends Accepted {
  readonly relay: Relay;
  readonly peer: Socket;
  /** Resolves at the end, with its cause. */
  readonly ended: Promise<RelayCause>;
}

/** Accepted clients until somebody asks for them, by the client's port. */
class Inbox {
  readonly #arrived: Incoming[] = [];
  readonly #waiting = new Map<number, (incoming: Incoming) => void>();

  readonly put = (incoming: Incoming): void => {
    const { port } = incoming.remote;
    const taker = this.#waiting.get(port);
    this.#waiting.delete(port);
    if (taker) taker(incoming);
    else this.#arrived.push(incoming);
  };

  take(port = 0): Promise<Incoming> {
    const at = this.#arrived.findIndex((incoming) => incoming.remote.port === port);
    const [found] = at < 0 ? [] : this.#arrived.splice(at, 1);
    return found ? Promise.resolve(found) : new Promise((resolve) => this.#waiting.set(port, resolve));
  }

  /** Clients that nobody asked for. */
  async clear(): Promise<void> {
    await Promise.all(this.#arrived.splice(0).map(shut));
  }
}

/** A server of the test, which hands out the sockets that it accepts. */
export class Peer {
  readonly #server: Server;
  readonly #accepted: Socket[] = [];
  readonly #waiting: ((socket: Socket) => void)[] = [];
  #endpoint: Endpoint = { kind: "tcp", host: "", port: 0 };

  constructor(bench: CarrierBench) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const taker = this.#waiting.shift();
      if (taker) taker(bench.keep(socket));
      else this.#accepted.push(bench.keep(socket));
    });
  }

  async listen(endpoint: Endpoint): Promise<void> {
    if (endpoint.kind === "unix") this.#server.listen(endpoint.path);
    else this.#server.listen(endpoint.port, endpoint.host);
    await once(this.#server, "listening");
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    this.#endpoint = endpoint.kind === "unix" ? endpoint : { ...endpoint, port };
  }

  get endpoint(): PeerEndpoint {
    return { address: "peer", endpoint: this.#endpoint, connectTimeoutMs: 5_000 };
  }

  next(): Promise<Socket> {
    const socket = this.#accepted.shift();
    return socket ? Promise.resolve(socket) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}

export function relayOptions(options: Partial<CarryOptions> = {}): CarryOptions {
  const life = { isOver: false, signal: new AbortController().signal };
  return { idleTimeoutMs: 60_000, preface: undefined, life, ...options };
}

export function endOf(relay: Relay): Promise<RelayCause> {
  return new Promise((resolve) => relay.onEnd(resolve));
}

/** As a session ends that nobody serves. */
export function shut(incoming: Incoming): Promise<void> {
  incoming.close("end");
  return closed(incoming);
}

export function closed(incoming: Incoming): Promise<void> {
  return new Promise((resolve) => incoming.whenClosed(resolve));
}

function endpointOf(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  if (!endpoint) throw new TypeError(text);
  return endpoint;
}

function hostOf(host: string): string {
  return host === "::" ? "127.0.0.1" : host;
}
