import type { Endpoint } from "../codecs/address.ts";
import type { Carrier } from "../stream/carrier/carrier.ts";
import { NativePort } from "../stream/carrier/native-port.ts";
import { type Inherited, Listener } from "../stream/listener.ts";
import { BACKLOG, type Port, type PortOptions } from "../stream/port.ts";
import type { Server } from "../stream/server.ts";
import type { InheritedSocket, InheritedSockets } from "./master/inherited-sockets.ts";

/** Opens an address of a server. @throws BindError */
export type OpenPorts = (
  key: string,
  endpoint: Endpoint,
  server: Server,
  options: PortOptions,
) => Promise<ReadonlyMap<number, Port>>;

/**
 * Who accepts: the native carrier, or `node:net` without one; at an address that the process opens itself, or at the sockets that the
 * master has sent for it by now, which may be none. Ports are known by the places of their sockets.
 */
export function portOpener(carrier: Carrier | undefined, sockets: InheritedSockets | undefined): OpenPorts {
  return async (key, endpoint, server, options) => {
    if (!sockets) return new Map([[0, await openAt(carrier, endpoint, server, options)]]);
    const taken = sockets.take(key);
    const ports = new Map<number, Port>();
    try {
      for (const [place, socket] of taken) {
        const again = (): Promise<InheritedSocket> => sockets.again({ key, place });
        ports.set(place, await openAt(carrier, endpoint, server, { ...options, inherited: { socket, again } }));
      }
    } catch (cause) {
      for (const port of ports.values()) port.close();
      for (const socket of taken.values()) socket.close();
      throw cause;
    }
    return ports;
  };
}

function openAt(
  carrier: Carrier | undefined,
  endpoint: Endpoint,
  server: Server,
  { inherited, ...options }: PortOptions & { readonly inherited?: Inherited & { readonly socket: InheritedSocket } },
): Promise<Port> {
  if (!carrier) return Listener.open(endpoint, options, inherited);
  const socket = inherited?.socket;
  socket?.listen(BACKLOG); // the engine wants one that listens; nobody accepts before the event loop turns
  const opened = NativePort.open(carrier, endpoint, server, { ...options, listenFd: socket?.fd });
  return opened.finally(() => socket?.close()); // the engine has its own copy
}
