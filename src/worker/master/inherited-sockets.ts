/** A listening socket that came from the master: what `net.Server` and the engine can listen at. */
export interface InheritedSocket {
  readonly fd: number;
  listen(backlog: number): number;
  close(): void;
}

/** The sockets that the master has handed to this process, until ports take them. */
export class InheritedSockets {
  readonly #waiting = new Map<string, InheritedSocket[]>();

  add(key: string, handle: unknown): void {
    if (!isInherited(handle)) return;
    const waiting = this.#waiting.get(key);
    if (waiting) waiting.push(handle);
    else this.#waiting.set(key, [handle]);
  }

  /** Those that have come since the last time. */
  take(key: string): readonly InheritedSocket[] {
    const sockets = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    return sockets;
  }

  /** Forgets what no port has taken. */
  clear(): void {
    for (const sockets of this.#waiting.values()) for (const socket of sockets) socket.close();
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
