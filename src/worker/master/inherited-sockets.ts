/** A socket that has not come by then got lost on its way, for want of file descriptors. */
const AGAIN_MS = 1_000;

/** Names a listening socket in all processes of a gateway. */
export interface SocketName {
  /** Of the address, as the ports know it. */
  readonly key: string;
  /** Several sockets may listen at one address; from 0. */
  readonly place: number;
}

/** A listening socket that came from the master: what `net.Server` and the engine can listen at. */
export interface InheritedSocket {
  readonly fd: number;
  listen(backlog: number): number;
  close(): void;
}

/** Whoever had to close one waits for it. */
interface Waiter {
  resolve(socket: InheritedSocket): void;
  reject(cause: Error): void;
}

/** The sockets that the master has handed to this process, until ports take them. */
export class InheritedSockets {
  readonly #ask: (name: SocketName) => void;
  readonly #waiting = new Map<string, Map<number, InheritedSocket>>();
  readonly #wanted = new Map<string, Waiter>();

  /** `ask` has the master send one again. */
  constructor(ask: (name: SocketName) => void) {
    this.#ask = ask;
  }

  /** It has come; without a handle where the master has none. */
  add(name: SocketName, handle: unknown): void {
    const waiter = this.#wanted.get(textOf(name));
    this.#wanted.delete(textOf(name));
    if (!isInherited(handle)) waiter?.reject(new Error("there is no such socket any more"));
    else if (waiter) waiter.resolve(handle);
    else this.#keep(name, handle);
  }

  /** Those that have come since the last time, by their places. */
  take(key: string): ReadonlyMap<number, InheritedSocket> {
    const sockets = this.#waiting.get(key) ?? new Map<number, InheritedSocket>();
    this.#waiting.delete(key);
    return sockets;
  }

  /** Has one sent once more whose copy here was closed. Rejects when it cannot be received. */
  again(name: SocketName): Promise<InheritedSocket> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the socket has not arrived")), AGAIN_MS);
      const waiter = {
        resolve: (socket: InheritedSocket): void => {
          clearTimeout(late);
          resolve(socket);
        },
        reject,
      };
      this.#wanted.set(textOf(name), waiter);
      this.#ask(name);
    });
  }

  /** Forgets what no port has taken. */
  clear(): void {
    for (const sockets of this.#waiting.values()) for (const socket of sockets.values()) socket.close();
    this.#waiting.clear();
  }

  #keep({ key, place }: SocketName, socket: InheritedSocket): void {
    const waiting = this.#waiting.get(key) ?? new Map<number, InheritedSocket>();
    waiting.get(place)?.close();
    this.#waiting.set(key, waiting.set(place, socket));
  }
}

function textOf({ key, place }: SocketName): string {
  return `${place} ${key}`;
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
