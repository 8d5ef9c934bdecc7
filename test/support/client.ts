import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";

/** Connects to a gateway on this machine, if need be from a certain address of it. */
export async function dialIn(port: number, host = "127.0.0.1", localAddress?: string): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true, ...(localAddress && { localAddress }) });
  socket.on("error", () => {}); // the tests look at what arrives
  await once(socket, "connect");
  return socket;
}

/** The same with TLS; rejects when the handshake fails. */
export async function dialTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const halfOpen: ConnectionOptions & { allowHalfOpen: boolean } = { allowHalfOpen: true };
  const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ...halfOpen, ...options });
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  return socket;
}

/** Everything until the other side's end, or its reset. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  if (!socket.readableEnded && !socket.closed) {
    await new Promise<void>((resolve) => socket.once("end", resolve).once("close", () => resolve()));
  }
  return Buffer.concat(chunks);
}

/** The next bytes, until `enough` says so. */
export async function readUntil(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  let text = "";
  for await (const chunk of on(socket)) {
    text += chunk.toString("latin1");
    if (enough(text)) return text;
  }
  return text;
}

async function* on(socket: Socket): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk) yield chunk;
    else if (socket.readableEnded || socket.destroyed) return;
    else
      await new Promise<void>((resolve) =>
        socket
          .once("readable", resolve)
          .once("end", resolve)
          .once("close", () => resolve()),
      );
  }
}

/** One exchange: sends, half-closes, and returns everything that comes back. */
export async function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = await dialIn(port);
  socket.end(bytes);
  const answer = await readAll(socket);
  socket.destroy();
  return answer.toString("latin1");
}
