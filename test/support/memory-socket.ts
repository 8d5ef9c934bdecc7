import { Socket } from "node:net";

/** A socket without a network, whose other end is the test: `push` delivers bytes, `push(null)` the end. */
export function memorySocket(...chunks: (string | Uint8Array | null)[]): Socket {
  const socket = new Socket({ allowHalfOpen: true });
  socket.on("error", () => {});
  for (const chunk of chunks) socket.push(chunk === null ? null : Buffer.from(chunk));
  return socket;
}
