import type { Socket } from "node:net";

/** The one method needed of Node's handle below a TCP socket: 0, or the system's error. */
interface NamedHandle {
  getpeername(out: object): number;
}

/** A socket, and the TCP socket below it where it carries TLS. */
interface Side {
  readonly stream: Socket;
  readonly transport: Socket;
}

/**
 * Tells a reset from an end. libuv reports a reset right behind data as a plain end (POLLHUP after a short read); but the
 * kernel no longer knows the other side of a connection that was reset. Once we have ended our side too, it forgets a clean one
 * as well, so then there is no telling, and no need.
 */
export function wasReset({ stream, transport }: Side): boolean {
  if (stream.writableEnded || transport.destroyed) return false;
  const handle: unknown = Reflect.get(transport, "_handle");
  return isNamed(handle) && handle.getpeername({}) !== 0;
}

function isNamed(handle: unknown): handle is NamedHandle {
  return (
    typeof handle === "object" && handle !== null && "getpeername" in handle && typeof handle.getpeername === "function"
  );
}

/**
 * Only TCP knows resets. And while an end is on its way (after `end()`, before `finish`) Node's `resetAndDestroy` fails
 * and never closes the socket: then a plain close has to do.
 */
export function mayReset({ stream, transport }: Side): boolean {
  const isEnding = [stream, transport].some((socket) => socket.writableEnded && !socket.writableFinished);
  return transport.remotePort !== undefined && !isEnding;
}
