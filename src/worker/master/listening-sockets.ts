import { lookup } from "node:dns/promises";
import net from "node:net";
import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { BindError, bind } from "../../stream/port.ts";
import type { WantedPort } from "../ports.ts";

/** Node's own object around a listening socket: what processes can hand each other without accepting on it. */
export interface SocketHandle {
  readonly fd: number;
  /** Fills in where it is bound. */
  getsockname?(out: { address?: string; port?: number }): number;
  close(): void;
}

/** An open address of the gateway. */
interface OpenSocket {
  readonly handle: SocketHandle;
  /** With the real port where 0 was asked for. */
  readonly address: string;
  server: string;
}

/** Sockets that were opened for a configuration, and are not yet in use. */
export type AddedSockets = ReadonlyMap<string, OpenSocket>;

/** IPV6_V6ONLY; libuv: `UV_TCP_IPV6ONLY`. */
const IPV6_ONLY = 1;

/**
 * The listening sockets of a gateway with several workers. The master opens them, hands each worker a copy and never accepts:
 * as long as it lives no client is refused, whatever becomes of the workers.
 */
export class ListeningSockets {
  #open = new Map<string, OpenSocket>();

  /** In the order of the configuration. */
  get listening(): { readonly address: string; readonly server: string }[] {
    return [...this.#open.values()].map(({ address, server }) => ({ address, server }));
  }

  get handles(): ReadonlyMap<string, SocketHandle> {
    return handlesOf(this.#open);
  }

  /** Opens what is new, all of it or nothing. @throws BindError */
  async prepare(wanted: readonly WantedPort[]): Promise<AddedSockets> {
    const added = new Map<string, OpenSocket>();
    try {
      for (const port of wanted) {
        if (!this.#open.has(port.key)) added.set(port.key, await openSocket(port));
      }
    } catch (cause) {
      this.abandon(added);
      throw cause;
    }
    return added;
  }

  /** What is not wanted any more is closed here; it is gone when the last worker has closed it, too. */
  commit(wanted: readonly WantedPort[], added: AddedSockets): void {
    const before = this.#open;
    this.#open = new Map();
    for (const { key, server } of wanted) {
      const open = before.get(key) ?? added.get(key);
      if (!open) continue;
      open.server = server.name;
      this.#open.set(key, open);
    }
    for (const [key, { handle }] of before) if (!this.#open.has(key)) handle.close();
  }

  abandon(added: AddedSockets): void {
    for (const { handle } of added.values()) handle.close();
  }

  close(): void {
    for (const { handle } of this.#open.values()) handle.close();
    this.#open.clear();
  }
}

/** The handles alone, for a worker. */
export function handlesOf(sockets: AddedSockets): ReadonlyMap<string, SocketHandle> {
  return new Map([...sockets].map(([key, { handle }]) => [key, handle]));
}

function openSocket({ endpoint, server, ipv6Only }: WantedPort): Promise<OpenSocket> {
  return bind(endpoint, async () => {
    const handle = create(endpoint, await ipOf(endpoint), ipv6Only);
    const at: { address?: string; port?: number } = {};
    if (endpoint.kind === "tcp") handle.getsockname?.(at);
    const bound = endpoint.kind === "tcp" ? { ...endpoint, port: at.port ?? endpoint.port } : endpoint;
    return { handle, address: formatEndpoint(bound), server: server.name };
  });
}

async function ipOf(endpoint: Endpoint): Promise<{ readonly address: string; readonly family: number } | undefined> {
  if (endpoint.kind === "unix") return undefined;
  const family = net.isIP(endpoint.host);
  return family === 0 ? lookup(endpoint.host) : { address: endpoint.host, family };
}

/** Binds without accepting, as `node:cluster` does; `net` has no public way. */
function create(
  endpoint: Endpoint,
  ip: { readonly address: string; readonly family: number } | undefined,
  ipv6Only: boolean,
): SocketHandle {
  const bindHandle: unknown = Reflect.get(net, "_createServerHandle");
  if (typeof bindHandle !== "function") throw new BindError("this Node.js cannot share sockets between processes");
  const made: unknown =
    ip && endpoint.kind === "tcp"
      ? bindHandle(ip.address, endpoint.port, ip.family, -1, ipv6Only ? IPV6_ONLY : 0)
      : bindHandle(endpoint.kind === "unix" ? endpoint.path : "", -1, -1, -1, 0);
  if (isHandle(made)) return made;
  throw new Error(typeof made === "number" ? `bind ${getSystemErrorName(made)}` : "bind failed");
}

function isHandle(value: unknown): value is SocketHandle {
  return typeof value === "object" && value !== null && "fd" in value && "close" in value;
}
