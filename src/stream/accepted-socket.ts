import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import { BUFFER_BYTES } from "../upstream/dial.ts";

/** Where the bytes of a client are: a file descriptor, or a handle of libuv's; `onread`: where that is to read to. */
export type SocketSource =
  | Pick<SocketConstructorOpts, "fd">
  | { readonly handle: object; readonly onread?: OnReadOpts };

/** Makes a socket of Node's of a client that somebody else accepted; paused, as those that Node accepts are here. */
export function acceptedSocket(source: SocketSource): Socket {
  const options = {
    ...source,
    allowHalfOpen: true,
    pauseOnCreate: true,
    readable: true,
    writable: true,
    readableHighWaterMark: BUFFER_BYTES,
    writableHighWaterMark: BUFFER_BYTES,
  };
  return new Socket(options).on("error", ignore); // seen as the inlet's state; between two owners nobody else listens
}

function ignore(): void {}
