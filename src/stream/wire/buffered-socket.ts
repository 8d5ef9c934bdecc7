import type { Socket } from "node:net";
import { acceptedSocket } from "../accepted-socket.ts";
import type { TcpHandle } from "./bindings.ts";
import { MEDIUM_BYTES, SMALL_BYTES } from "./read-buffers.ts";

/**
 * Makes a socket of Node's of a handle that reads into a buffer of ours, for good: the socket gets a buffer of its own, and each read
 * is copied out of it. The buffer is a small one until a read fills it.
 */
export function bufferedSocket(handle: TcpHandle): Socket {
  let buffer = Buffer.allocUnsafeSlow(SMALL_BYTES);
  const callback = (size: number, bytes: Uint8Array): boolean => {
    if (size === SMALL_BYTES) buffer = Buffer.allocUnsafeSlow(MEDIUM_BYTES);
    return socket.push(Buffer.from(bytes.subarray(0, size)));
  };
  const socket = acceptedSocket({ handle, onread: { buffer: () => buffer, callback } });
  return socket;
}
