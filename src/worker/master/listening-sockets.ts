import { formatEndpoint } from "../../codecs/address.ts";
import { bind } from "../../stream/port.ts";
import type { WantedPort } from "../ports.ts";
import { openMore, openSockets, type SocketHandle } from "./socket-handle.ts";

/** An open address of the gateway. */
interface OpenAddress {
  /** With the real port where 0 was asked for. */
  readonly address: string;
  readonly port: number;
  /** One for each worker, or one for all. */
  readonly handles: SocketHandle[];
  server: string;
}

/** Handles by the key of their port: what one worker is to accept at. */
export type Share = ReadonlyMap<string, readonly SocketHandle[]>;

/** What a reload would change: addresses that are new, and sockets for workers that are. */
export interface SocketChange {
  readonly wanted: readonly WantedPort[];
  readonly workers: number;
  readonly added: ReadonlyMap<string, OpenAddress>;
  readonly more: ReadonlyMap<string, readonly SocketHandle[]>;
}

/**
 * The listening sockets of a gateway with several workers. The master opens them, hands them to the workers and never accepts: as
 * long as it lives no client is refused or forgotten, whatever becomes of the workers.
 */
export class ListeningSockets {
  #open = new Map<string, OpenAddress>();
  /** Addresses of changes that may come. */
  readonly #prepared = new Set<SocketChange["added"]>();
  #workers = 0;

  /** In the order of the configuration. */
  get listening(): { readonly address: string; readonly server: string }[] {
    return [...this.#open.values()].map(({ address, server }) => ({ address, server }));
  }

  /** What a worker accepts at. Those of workers that are no more go to the first one: clients may wait in their queues. */
  shareOf(number: number): Share {
    return sharesOf(this.#open, number, this.#workers);
  }

  /** The part of a change that is new to a worker. */
  newTo(number: number, { added, workers }: SocketChange): Share {
    return sharesOf(added, number, workers);
  }

  /** Opens what is new, all of it or nothing. @throws BindError */
  async prepare(wanted: readonly WantedPort[], workers: number): Promise<SocketChange> {
    const added = new Map<string, OpenAddress>();
    const more = new Map<string, readonly SocketHandle[]>();
    try {
      for (const port of wanted) {
        const open = this.#open.get(port.key);
        if (!open) added.set(port.key, this.#preparedAt(port.key) ?? (await openAddress(port, workers)));
        else more.set(port.key, await openMore(port, open.port, workers - open.handles.length));
      }
    } catch (cause) {
      this.abandon({ added, more });
      throw cause;
    }
    this.#prepared.add(added);
    return { wanted, workers, added, more };
  }

  /** Open for another change: a second time it could not be had. */
  #preparedAt(key: string): OpenAddress | undefined {
    return [...this.#prepared].map((added) => added.get(key)).find((open) => open !== undefined);
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

  #closeUnused(addresses: SocketChange["added"]): void {
    const used = new Set([this.#open, ...this.#prepared].flatMap((all) => [...all.values()]));
    for (const address of addresses.values())
      if (!used.has(address)) for (const handle of address.handles) handle.close();
  }

  abandon({ added, more }: Pick<SocketChange, "added" | "more">): void {
    this.#prepared.delete(added);
    this.#closeUnused(added);
    for (const handles of more.values()) for (const handle of handles) handle.close();
  }

  close(): void {
    const before = this.#open;
    const prepared = [...this.#prepared];
    this.#open = new Map();
    this.#prepared.clear();
    for (const all of [before, ...prepared]) this.#closeUnused(all);
  }
}

function sharesOf(addresses: ReadonlyMap<string, OpenAddress>, number: number, workers: number): Share {
  const shares = [...addresses].map(([key, { handles }]): [string, readonly SocketHandle[]] => {
    if (handles.length === 1) return [key, handles];
    return [key, handles.filter((_, index) => index === number || (number === 0 && index >= workers))];
  });
  return new Map(shares);
}

function openAddress(port: WantedPort, workers: number): Promise<OpenAddress> {
  const { endpoint, server } = port;
  return bind(endpoint, async () => {
    const { handles, port: bound } = await openSockets(port, workers);
    const address = formatEndpoint(endpoint.kind === "tcp" ? { ...endpoint, port: bound } : endpoint);
    return { address, port: bound, handles: [...handles], server: server.name };
  });
}
