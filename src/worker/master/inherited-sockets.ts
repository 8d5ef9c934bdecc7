import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { BindError } from "../../stream/port.ts";

/** A listening socket that came from the master: what `net.Server` and the engine can listen at. */
export interface InheritedSocket {
  readonly fd: number;
  listen(backlog: number): number;
  close(): void;
}

/** The sockets that the master has handed to this process, until ports take them. */
export class InheritedSockets {
  readonly #waiting = new Map<string, InheritedSocket>();

  /** A socket that waits already under that key is not needed twice. */
  add(key: string, handle: unknown): void {
    if (!isInherited(handle)) return;
    this.#waiting.get(key)?.close();
    this.#waiting.set(key, handle);
  }

  /** @throws BindError where the master has sent none */
  take(key: string, endpoint: Endpoint): InheritedSocket {
    const socket = this.#waiting.get(key);
    if (!socket) throw new BindError(`cannot listen on ${formatEndpoint(endpoint)}: the master sent no socket`);
    this.#waiting.delete(key);
    return socket;
  }

  /** Forgets what no port has taken. */
  clear(): void {
    for (const socket of this.#waiting.values()) socket.close();
    this.#waiting.clear();
  }
}

function isInherited(handle: unknown): handle is InheritedSocket {
  return (
    typeof handle === "object" &&
    handle !== null &&
    "fd" in handle &&
    "listen" in handle &&
    typeof handle.listen === "function" &&
    "close" in handle &&
    typeof handle.close === "function"
  );
}
