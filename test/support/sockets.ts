import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Two ends of one real TCP connection: `near` as a gateway would accept it, `far` as its other side. */
export async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const [near] = (await once(server, "connection")) as [Socket];
  await (far.connecting ? once(far, "connect") : undefined);
  server.close();
  for (const socket of [near, far]) socket.on("error", () => {});
  return { near, far };
}
