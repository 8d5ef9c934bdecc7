import { rmSync } from "node:fs";
import { formatEndpoint } from "../../codecs/address.ts";
import { BindError, bind } from "../../stream/port.ts";
import type { ServedPort, WantedPort } from "../ports.ts";
import type { ListeningSocket } from "./given-sockets.ts";
import type { SocketName } from "./inherited-sockets.ts";
import {
  type BoundAddress,
  checkFree,
  closeAll,
  copyOf,
  openMore,
  openSockets,
  type SocketHandle,
} from "./socket-handle.ts";

/** An open address of the gateway. */
interface OpenAddress extends BoundAddress {
  /** With the real port where 0 was asked for. */
  readonly address: string;
  /** One for each worker, or one for all; their places never change. */
  readonly handles: SocketHandle[];
  /** Of a unix socket that somebody else has opened: whoever closes it last removes it. */
  readonly path?: string | undefined;
  server: string;
}

type Addresses = ReadonlyMap<string, OpenAddress>;

/** What a reload would change: addresses that are new, and sockets for workers that are. */
export interface SocketChange {
  readonly wanted: readonly WantedPort[];
  readonly workers: number;
  /** Not open for what serves; perhaps for another change. */
  readonly added: Addresses;
  readonly more: ReadonlyMap<string, readonly SocketHandle[]>;
}

/**
 * The sockets of a gateway with several workers. The master opens them and never accepts: as long as it lives no client is refused or
 * forgotten, whatever becomes of the workers. None listens before the first worker accepts there; from then on each is always somebody's.
 */
export class ListeningSockets {
  #open = new Map<string, OpenAddress>();
  /** Addresses of changes that may come. */
  readonly #prepared = new Set<Addresses>();
  #workers = 0;

  /** In the order of the configuration. */
  get listening(): { readonly address: string; readonly server: string }[] {
    return [...this.#open.values()].map(({ address, server }) => ({ address, server }));
  }

  /** Which sockets workers are to accept at, by their numbers: those that serve now. */
  shares(serving: readonly number[]): ReadonlyMap<number, readonly ListeningSocket[]> {
    return sharesOf(this.#open, serving, this.#workers);
  }

  /** The same for the addresses that are new with a change, and those that are ready for it. */
  sharesOf(
    { added, workers }: SocketChange,
    ready: readonly number[],
  ): ReadonlyMap<number, readonly ListeningSocket[]> {
    return sharesOf(added, ready, workers);
  }

  /** For a worker that has lost its copy. */
  find({ key, place }: SocketName): SocketHandle | undefined {
    return (this.#open.get(key) ?? this.#preparedAt(key))?.handles[place];
  }

  /** Takes copies of sockets that this process listens at already, so that workers can. Throws the system's errors; {@link release} closes what was had. */
  adopt(served: readonly ServedPort[]): void {
    for (const port of served) this.#open.set(port.key, copied(port));
  }

  /** Lets go of all that is open, for whoever it was taken from. */
  release(): void {
    for (const { handles } of this.#open.values()) closeAll(handles);
    this.#open.clear();
  }

  /** Opens what is new, all of it or nothing. @throws BindError */
  async prepare(wanted: readonly WantedPort[], workers: number): Promise<SocketChange> {
    const added = new Map<string, OpenAddress>();
    const more = new Map<string, readonly SocketHandle[]>();
    this.#prepared.add(added);
    try {
      for (const port of wanted) {
        const open = this.#open.get(port.key) ?? this.#preparedAt(port.key);
        if (!open) added.set(port.key, await openAddress(port, workers));
        else more.set(port.key, openMore(open, workers - open.handles.length));
        if (open && !this.#open.has(port.key)) added.set(port.key, open);
      }
      assertApart(wanted.flatMap(({ key }) => this.#open.get(key) ?? added.get(key) ?? []));
    } catch (cause) {
      this.abandon({ added, more });
      throw cause;
    }
    return { wanted, workers, added, more };
  }

  /** The moment before workers accept: another gateway may have begun since these were opened. @throws BindError */
  async check(): Promise<void> {
    for (const address of this.#open.values())
      await bind(address.wanted.endpoint, () => checkFree(address), { isOpen: true });
  }

  /** What is not wanted any more is closed here; it is gone when the last worker has closed it, too. */
  commit({ wanted, workers, added, more }: SocketChange): void {
    const before = this.#open;
    this.#workers = workers;
    this.#open = new Map();
    for (const { key, server } of wanted) {
      const open = before.get(key) ?? added.get(key);
      if (!open) continue;
      open.server = server.name;
      open.handles.push(...(more.get(key) ?? []));
      this.#open.set(key, open);
    }
    this.#prepared.delete(added);
    this.#closeUnused(before);
  }

  abandon({ added, more }: Pick<SocketChange, "added" | "more">): void {
    this.#prepared.delete(added);
    this.#closeUnused(added);
    for (const handles of more.values()) closeAll(handles);
  }

  close(): void {
    const before = this.#open;
    const prepared = [...this.#prepared];
    this.#open = new Map();
    this.#prepared.clear();
    for (const all of [before, ...prepared]) this.#closeUnused(all);
  }

  /** Open for another change: a second time it could not be had. */
  #preparedAt(key: string): OpenAddress | undefined {
    return [...this.#prepared].map((added) => added.get(key)).find((open) => open !== undefined);
  }

  #closeUnused(addresses: Addresses): void {
    const used = new Set([this.#open, ...this.#prepared].flatMap((all) => [...all.values()]));
    for (const address of addresses.values()) if (!used.has(address)) closeAddress(address);
  }
}

function closeAddress({ handles, path }: OpenAddress): void {
  closeAll(handles);
  if (path !== undefined) rmSync(path, { force: true });
}

function copied(port: ServedPort): OpenAddress {
  const { endpoint, address, server } = port;
  const { handles, ...bound } = copyOf(port);
  const path = endpoint.kind === "unix" ? endpoint.path : undefined;
  return { ...bound, address, wanted: port, handles: [...handles], path, server: server.name };
}

/** Sockets that share a port would share it between two servers, too, where names lead to one address. @throws BindError */
function assertApart(addresses: readonly OpenAddress[]): void {
  const seen = new Map<string, OpenAddress>();
  for (const one of addresses.filter(({ ip }) => ip !== undefined)) {
    const other = seen.get(`${one.ip} ${one.port}`);
    if (other) throw new BindError(`cannot listen on ${one.address}: listen EADDRINUSE: it is ${other.address}`);
    seen.set(`${one.ip} ${one.port}`, one);
  }
}

function sharesOf(
  addresses: Addresses,
  serving: readonly number[],
  workers: number,
): ReadonlyMap<number, readonly ListeningSocket[]> {
  const shares = new Map<number, ListeningSocket[]>(serving.map((number) => [number, []]));
  for (const [key, { handles }] of addresses) {
    for (const [place, handle] of handles.entries()) {
      const accepting = handles.length === 1 ? serving : accepterOf(place, serving, workers);
      for (const number of accepting) shares.get(number)?.push({ key, place, handle });
    }
  }
  return shares;
}

/** Each socket has its worker; while that one does not serve, another stands in for it. So do others for workers that are no more. */
function accepterOf(place: number, serving: readonly number[], workers: number): readonly number[] {
  const own = place % workers;
  const standIn = serving[place % serving.length];
  if (serving.includes(own)) return [own];
  return standIn === undefined ? [] : [standIn];
}

function openAddress(port: WantedPort, workers: number): Promise<OpenAddress> {
  const { endpoint, server } = port;
  return bind(endpoint, async () => {
    const { handles, ...bound } = await openSockets(port, workers);
    const address = formatEndpoint(endpoint.kind === "tcp" ? { ...endpoint, port: bound.port } : endpoint);
    return { ...bound, address, wanted: port, handles: [...handles], server: server.name };
  });
}
