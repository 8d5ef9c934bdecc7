import net from "node:net";
import { getSystemErrorName } from "node:util";
import { loadAddon } from "../../stream/carrier/addon.ts";
import { BACKLOG, BindError, ipOf } from "../../stream/port.ts";
import type { ServedPort, WantedPort } from "../ports.ts";

/** Node's own object around a listening socket: what processes can hand each other without accepting on it. */
export interface SocketHandle {
  readonly fd: number;
  /** Fills in where it is bound. */
  getsockname?(out: { address?: string; port?: number }): number;
  close(): void;
}

/** Sockets of one address, and its real port where 0 was asked for. */
export interface OpenedSockets {
  readonly handles: readonly SocketHandle[];
  readonly port: number;
  /** Where it is bound, also by a name; undefined: a unix socket. */
  readonly ip: string | undefined;
}

/** IPV6_V6ONLY; libuv: `UV_TCP_IPV6ONLY`. */
const IPV6_ONLY = 1;

/**
 * Opens sockets that several processes accept at: so many as there are workers, between which the kernel shares the clients out
 * (SO_REUSEPORT; nginx: `reuseport`), or one for all where the platform has no such thing. They do not listen: who accepts begins
 * with that, so that no client waits where nobody is. Throws the system's errors.
 */
export async function openSockets({ endpoint, ipv6Only }: WantedPort, count: number): Promise<OpenedSockets> {
  if (endpoint.kind === "unix") return { handles: [create(endpoint.path, -1, -1, 0)], port: 0, ip: undefined };
  const addon = sharing();
  const ip = await ipOf(endpoint.host);
  if (addon) return shared(addon, { host: ip.address, port: endpoint.port, ipv6Only }, count);
  const handle = create(ip.address, endpoint.port, ip.family, ipv6Only ? IPV6_ONLY : 0);
  return { handles: [handle], ...boundOf(handle) };
}

/** An address at which a socket is open already. */
export interface BoundAddress extends Pick<OpenedSockets, "ip" | "port"> {
  readonly wanted: WantedPort;
}

/** More sockets beside those that are open at an address already: for workers that come later. */
export function openMore({ wanted, ip, port }: BoundAddress, count: number): readonly SocketHandle[] {
  const addon = sharing();
  if (ip === undefined || !addon) return [];
  return severalAt(addon, { host: ip, port, ipv6Only: wanted.ipv6Only }, Math.max(0, count));
}

/** Sockets that one process listens at can be copied for others: the platform shares ports, and the carrier's binary is there. */
export function canCopy(): boolean {
  return sharing() !== undefined;
}

/** A copy of a socket that this process listens at. From now on others may be opened beside it. Throws the system's errors. */
export function copyOf({ fd, noDelay, keepAliveMs }: ServedPort): OpenedSockets {
  const addon = sharing();
  if (!addon) throw new Error("the socket cannot be copied here");
  const at = { host: undefined, port: 0, ipv6Only: false, listenFd: fd, reusePort: true, backlog: BACKLOG };
  const copy = addon.open({ ...UNUSED, ...at, noDelay, keepAliveMs });
  const handle = create(null, 0, -1, 0, copy.fd);
  return { handles: [handle], ...boundOf(handle) };
}

/** libuv keeps an address that is taken to itself until somebody listens, or asks. */
function boundOf(handle: SocketHandle): Pick<OpenedSockets, "ip" | "port"> {
  const bound: { address?: string; port?: number } = {};
  const error = handle.getsockname?.(bound) ?? 0;
  if (error === 0) return { ip: bound.address, port: bound.port ?? 0 };
  handle.close();
  throw new Error(`bind ${getSystemErrorName(error)}`);
}

type Addon = NonNullable<ReturnType<typeof loadAddon>["addon"]>;

/** By whom several sockets are opened at one port; undefined: the platform has no such thing, or the carrier's binary is not there. */
function sharing(): Addon | undefined {
  return process.platform === "linux" ? loadAddon().addon : undefined;
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly ipv6Only: boolean;
}

/** Sockets that share a port would also share it with a stranger of the same user: one that does not share tells whether it is free. */
function shared(addon: Addon, address: Address, count: number): OpenedSockets {
  if (address.port !== 0) assertFree(addon, address);
  const { handle, port } = opened(addon, address);
  try {
    return { handles: [handle, ...severalAt(addon, { ...address, port }, count - 1)], port, ip: address.host };
  } catch (cause) {
    handle.close();
    throw cause;
  }
}

function severalAt(addon: Addon, address: Address, count: number): readonly SocketHandle[] {
  const handles: SocketHandle[] = [];
  try {
    while (handles.length < count) handles.push(opened(addon, address).handle);
    return handles;
  } catch (cause) {
    closeAll(handles);
    throw cause;
  }
}

export function closeAll(handles: readonly SocketHandle[]): void {
  for (const handle of handles) handle.close();
}

/** Nobody else listens at an address that is bound here, and not listened at yet. Throws the system's error. */
export function checkFree({ wanted, ip, port }: BoundAddress): void {
  const addon = sharing();
  if (ip === undefined || !addon) return; // who binds later, or listens, is told
  assertFree(addon, { host: ip, port, ipv6Only: wanted.ipv6Only });
}

function assertFree(addon: Addon, address: Address): void {
  const { fd } = addon.open({ ...address, ...UNUSED, reusePort: false, backlog: BACKLOG });
  create(null, 0, -1, 0, fd).close();
}

/** Without a backlog the address is taken, and nobody can connect yet. */
function opened(addon: Addon, address: Address): { handle: SocketHandle; port: number } {
  const { fd, port } = addon.open({ ...address, ...UNUSED, reusePort: true, backlog: 0 });
  return { handle: create(null, 0, -1, 0, fd), port };
}

/** What is for those who accept. */
const UNUSED = {
  path: undefined,
  listenFd: undefined,
  noDelay: false,
  keepAliveMs: 0,
  waits: false,
  firstByteMs: 0,
  headBytes: 1,
  maxSessions: 0,
  group: 0,
} as const;

/** Binds without accepting, or takes a socket that is open, as `node:cluster` does; `net` has no public way. */
function create(
  ...at: readonly [address: string | null, port: number, family: number, flags: number, fd?: number]
): SocketHandle {
  const [address, port, family, flags, fd = -1] = at;
  const createHandle: unknown = Reflect.get(net, "_createServerHandle");
  if (typeof createHandle !== "function") throw new BindError("this Node.js cannot share sockets between processes");
  const made: unknown = createHandle(address, port, family, fd, flags);
  if (isHandle(made)) return made;
  throw new Error(typeof made === "number" ? `bind ${getSystemErrorName(made)}` : "bind failed");
}

function isHandle(value: unknown): value is SocketHandle {
  return typeof value === "object" && value !== null && "fd" in value && "close" in value;
}
