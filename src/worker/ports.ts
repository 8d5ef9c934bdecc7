import { type Endpoint, formatEndpoint, plainEndpoint } from "../codecs/address.ts";
import { Turns } from "../shared/turns.ts";
import type { Incoming } from "../stream/incoming.ts";
import type { Log } from "../stream/log.ts";
import type { Port, PortOptions } from "../stream/port.ts";
import type { Server } from "../stream/server.ts";
import type { SocketName } from "./master/inherited-sockets.ts";
import type { OpenPorts } from "./port-opener.ts";

/** What a worker's ports need of it. */
interface PortsParts {
  readonly log: Log;
  /** Opens an address by whoever accepts there; for one that is open, what there is to accept at besides. @throws BindError */
  readonly open: OpenPorts;
  readonly hasRoom: (server: Server) => boolean;
  readonly serve: (incoming: Incoming, server: Server) => void;
  /** No client of a closed port comes to that generation any more. */
  readonly onClosed: (generation: number) => void;
}

/** An open address and the server that its clients go to. */
interface OpenPort {
  server: Server;
  readonly endpoint: Endpoint;
  /** By the places of their sockets: one, unless several processes accept at the address. */
  readonly ports: Map<number, Port>;
}

/** An address of a server, with the name by which a reload finds it again. */
export interface WantedPort<Of extends Listens = Listens> {
  readonly key: string;
  readonly endpoint: Endpoint;
  readonly server: Of;
  readonly ipv6Only: boolean;
}

/** A socket that listens, and what others need who are to accept there too. */
export interface ServedPort extends WantedPort {
  /** With the real port where 0 was asked for. */
  readonly address: string;
  /** The worker's: others take copies. */
  readonly fd: number;
  /** What its clients get. */
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
}

/** What of a server its ports depend on. */
type Listens = Pick<Server, "name" | "listen">;

/** What a reload would change. */
export interface PortChange {
  /** Not open for what serves; perhaps for another change. */
  readonly added: ReadonlyMap<string, OpenPort>;
  readonly wanted: readonly WantedPort<Server>[];
}

/** Where a worker accepts. A port outlives generations: one that both have stays open and never misses a client. */
export class Ports {
  readonly #parts: PortsParts;
  /** Changes that may come, and have their ports open. */
  readonly #prepared = new Set<PortChange>();
  /** Closed ports whose last clients may still come, by the number of the generation that they come to. */
  readonly #closing = new Map<number, number>();
  #open = new Map<string, OpenPort>();
  readonly #accepting = new Turns();
  #isClosed = false;

  constructor(parts: PortsParts) {
    this.#parts = parts;
  }

  /** In the order of the configuration. */
  get listening(): { readonly address: string; readonly server: string }[] {
    return [...this.#open.values()].flatMap(({ ports, server }) => {
      const [port] = ports.values();
      return port ? [{ address: port.address, server: server.name }] : [];
    });
  }

  /** The first socket of each address, for other processes that are to accept there; also of those that are open for a change alone. */
  get served(): readonly ServedPort[] {
    const all = [this.#open, ...[...this.#prepared].map(({ added }) => added)];
    return [...new Map(all.flatMap((open) => [...open]))].flatMap(([key, { ports, server, endpoint }]) => {
      const [port] = ports.values();
      if (!port) return [];
      const { noDelay, keepAliveMs, listen } = server;
      const ipv6Only = hasV4Twin(endpoint, listen);
      return [{ key, endpoint, server, ipv6Only, address: port.address, fd: port.fd, noDelay, keepAliveMs }];
    });
  }

  /** Opens what is new in these servers, all of it or nothing. @throws BindError */
  async prepare(servers: readonly Server[]): Promise<PortChange> {
    const wanted = wantedPorts(servers);
    const change = { added: new Map<string, OpenPort>(), wanted };
    this.#prepared.add(change);
    try {
      for (const { key, endpoint, server } of wanted) {
        if (this.#open.has(key)) continue;
        change.added.set(key, this.#preparedAt(key) ?? (await this.#openOne(key, endpoint, server)));
      }
    } catch (cause) {
      this.abandon(change);
      throw cause;
    }
    return change;
  }

  /** From now on the ports are those of a change. What is in neither is closed; its sessions go on. */
  commit(change: PortChange): void {
    const before = this.#open;
    this.#open = new Map();
    for (const { key, server } of change.wanted) {
      const open = before.get(key) ?? change.added.get(key);
      if (!open) continue;
      this.#hand(open, server);
      this.#open.set(key, open);
    }
    this.#prepared.delete(change);
    this.#closeUnused([...before.values()]);
  }

  /** Clients of the addresses that are new with a change are its own from here on; perhaps they were another change's. */
  tryOut({ added, wanted }: PortChange): void {
    for (const { key, server } of wanted) {
      const open = added.get(key);
      if (open) this.#hand(open, server);
    }
  }

  abandon(change: PortChange): void {
    this.#prepared.delete(change);
    this.#closeUnused([...change.added.values()]);
  }

  /** Whatever was prepared is closed, too. */
  close(): void {
    this.#isClosed = true;
    for (const open of this.#open.values()) void this.#close(open);
    for (const { added } of this.#prepared) for (const open of added.values()) void this.#close(open);
    this.#prepared.clear();
  }

  /** Open for another change: a second socket there could not be had. */
  #preparedAt(key: string): OpenPort | undefined {
    return [...this.#prepared].map(({ added }) => added.get(key)).find((open) => open !== undefined);
  }

  #closeUnused(ports: readonly OpenPort[]): void {
    const used = new Set(
      [this.#open, ...[...this.#prepared].map(({ added }) => added)].flatMap((all) => [...all.values()]),
    );
    for (const open of ports) if (!used.has(open)) void this.#close(open);
  }

  /** True: clients of a port that is closed may still come to that generation. */
  isAwaited(generation: number): boolean {
    return this.#closing.has(generation);
  }

  async #close({ ports, server }: OpenPort): Promise<void> {
    const { generation } = server;
    this.#closing.set(generation, (this.#closing.get(generation) ?? 0) + 1);
    await Promise.all([...ports.values()].map((port) => port.close()));
    const left = (this.#closing.get(generation) ?? 0) - 1;
    if (left > 0) this.#closing.set(generation, left);
    else this.#closing.delete(generation);
    this.#parts.onClosed(generation);
  }

  /** Accepts besides at sockets that were sent before. Rejects when one of them is not here. */
  accept(sockets: readonly SocketName[]): Promise<void> {
    return this.#accepting.take(async () => {
      for (const key of new Set(sockets.map((name) => name.key))) await this.#acceptMore(key);
      const missing = sockets.filter(({ key, place }) => !this.#find(key)?.ports.has(place));
      if (missing.length > 0) throw new Error(`no socket for ${missing.map(({ key }) => key).join(", ")}`);
    });
  }

  /** Accepts there no more: another process does. */
  leave(sockets: readonly SocketName[]): void {
    for (const { key, place } of sockets) {
      const ports = this.#find(key)?.ports;
      void ports?.get(place)?.close();
      ports?.delete(place);
    }
  }

  #find(key: string): OpenPort | undefined {
    return this.#open.get(key) ?? this.#preparedAt(key);
  }

  async #acceptMore(key: string): Promise<void> {
    const open = this.#find(key);
    if (!open) return;
    const more = await this.#parts.open(key, open.endpoint, open.server, this.#optionsOf(open));
    for (const [place, port] of more) {
      if (this.#isClosed || this.#find(key) !== open || open.ports.has(place)) void port.close();
      else open.ports.set(place, port);
    }
  }

  async #openOne(key: string, endpoint: Endpoint, server: Server): Promise<OpenPort> {
    const open: OpenPort = { server, endpoint, ports: new Map() };
    const ports = await this.#parts.open(key, endpoint, server, this.#optionsOf(open));
    for (const [place, port] of ports) open.ports.set(place, port);
    return open;
  }

  #hand(open: OpenPort, server: Server): void {
    if (open.server === server) return;
    open.server = server;
    for (const port of open.ports.values()) port.adopt(server, this.#optionsOf(open));
  }

  #optionsOf(open: OpenPort): PortOptions {
    const { noDelay, keepAliveMs, listen } = open.server;
    const { log, hasRoom, serve } = this.#parts;
    return {
      noDelay,
      keepAliveMs,
      ipv6Only: hasV4Twin(open.endpoint, listen),
      log,
      hasRoom: () => hasRoom(open.server),
      onIncoming: (incoming) => serve(incoming, open.server),
    };
  }
}

/** All addresses of all servers, whatever way they are written. Those with port 0 are known by their server and place, since each is another port. */
export function wantedPorts<Of extends Listens>(servers: readonly Of[]): readonly WantedPort<Of>[] {
  return servers.flatMap((server) =>
    server.listen.map((endpoint, place) => {
      const isFree = endpoint.kind === "tcp" && endpoint.port === 0;
      const ipv6Only = hasV4Twin(endpoint, server.listen); // cannot be changed on an open socket
      const address = formatEndpoint(plainEndpoint(endpoint));
      const key = `${address}${isFree ? ` ${server.name} ${place}` : ""}${ipv6Only ? " v6only" : ""}`;
      return { key, endpoint, server, ipv6Only };
    }),
  );
}

/** Linux lets `[::]` take IPv4 as well, and then refuses `0.0.0.0` on the same port. */
function hasV4Twin(endpoint: Endpoint, all: readonly Endpoint[]): boolean {
  const plain = plainEndpoint(endpoint);
  if (plain.kind !== "tcp" || plain.host !== "::") return false;
  return all.some((other) => other.kind === "tcp" && other.host === "0.0.0.0" && other.port === plain.port);
}
