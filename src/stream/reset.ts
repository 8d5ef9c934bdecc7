import type { Socket } from "node:net";

/** The one method needed of Node's handle below a TCP socket: 0, or the system's error. */
interface NamedHandle {
  getpeername(out: object): number;
}

/**
 * Tells a reset from an end. libuv reports a reset right behind data as a plain end (POLLHUP after a short read); but the
 * kernel no longer knows the other side of a connection that was reset. Once we have ended our side too, it forgets a clean one
 * as well, so then there is no telling, and no need.
 */
export function wasReset(socket: Socket): boolean {
  if (socket.writableEnded || socket.destroyed) return false;
  const handle: unknown = Reflect.get(socket, "_handle");
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
export function mayReset(socket: Socket): boolean {
  const isEnding = socket.writableEnded && !socket.writableFinished;
  return socket.remotePort !== undefined && !isEnding;
}
