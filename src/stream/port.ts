import { lookup } from "node:dns/promises";
import { stat, unlink } from "node:fs/promises";
import { connect, isIP } from "node:net";
import { type Endpoint, formatEndpoint } from "../codecs/address.ts";
import { messageOf } from "../errors.ts";
import type { Incoming } from "./incoming.ts";
import type { Log } from "./log.ts";
import type { Server } from "./server.ts";

/** An open address, whoever accepts there. */
export interface Port {
  /** Where it listens, with the real port where 0 was asked for. */
  readonly address: string;
  /** The listening socket, for whoever hands it on: open until {@link close}. -1: it is not open at this moment. */
  readonly fd: number;
  /** From now on its clients are another server's: the address stays open, and misses none. */
  adopt(server: Server, options: PortOptions): void;
  /** Accepts no more; sessions go on. Resolves when no client comes any more that it had accepted: one that is silent may be a session later. */
  close(): Promise<void>;
}

/** A port could not be opened: start fails with it, and nothing serves. */
export class BindError extends Error {
  override readonly name = "BindError";
}

export interface PortOptions {
  readonly noDelay: boolean;
  /** Leaves IPv4 alone on `[::]`, for when the IPv4 wildcard is listened on too. */
  readonly ipv6Only: boolean;
  /** 0 turns keepalive off. */
  readonly keepAliveMs: number;
  readonly log: Log;
  /** Takes an accepted client. */
  readonly onIncoming: (incoming: Incoming) => void;
  /** False while no more sessions fit; the client is turned away before anything is spent on it. */
  readonly hasRoom: () => boolean;
}

/** Accepts wait in the kernel's queue while the process is busy; the system's own limit (somaxconn) cuts it. */
export const BACKLOG = 4_096;

/** Opens an address by whoever accepts there. `isOpen`: it is another's, and living. @throws BindError, whatever went wrong */
export async function bind<Opened>(
  endpoint: Endpoint,
  open: () => Opened | Promise<Opened>,
  { isOpen = false }: { readonly isOpen?: boolean } = {},
): Promise<Opened> {
  try {
    if (!isOpen) await removeStale(endpoint);
    return await open();
  } catch (cause) {
    throw new BindError(`cannot listen on ${formatEndpoint(endpoint)}: ${messageOf(cause)}`, { cause });
  }
}

/** Where a name leads that is to be listened at: its first address, as `net.Server` does it. Rejects with the resolver's error. */
export async function ipOf(host: string): Promise<{ readonly address: string; readonly family: number }> {
  const family = isIP(host);
  return family === 0 ? lookup(host) : { address: host, family };
}

/** A process that was killed leaves its unix socket behind. Nobody answers there, so it is taken away; a living one is not. */
async function removeStale(endpoint: Endpoint): Promise<void> {
  if (endpoint.kind !== "unix") return;
  const isSocket = await stat(endpoint.path).then(
    (found) => found.isSocket(),
    () => false,
  );
  if (!isSocket) return;
  const probe = connect(endpoint.path);
  const answer = await new Promise<string | undefined>((resolve) => {
    probe
      .once("connect", () => resolve(undefined))
      .once("error", (cause: NodeJS.ErrnoException) => resolve(cause.code));
  });
  probe.destroy();
  if (answer === "ECONNREFUSED") await unlink(endpoint.path);
}
