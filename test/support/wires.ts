import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { acceptWires } from "../../src/stream/wire/acceptor.ts";
import { type Bindings, findBindings } from "../../src/stream/wire/bindings.ts";
import type { Wire } from "../../src/stream/wire/wire.ts";
import { Wires } from "../../src/stream/wire/wires.ts";

/** The internals of the Node.js that runs the tests: all that are supported have them. */
export function bindings(): Bindings {
  const found = findBindings({ io: undefined, version: process.versions.node, platform: "linux" });
  if (!found) throw new Error("Node's internals are not as expected");
  return found;
}

/** Two ends of one real TCP connection: `near` as a gateway accepts it without `net.Socket`, `far` as its other side. */
export async function wirePair(wires = new Wires(bindings())): Promise<{ near: Wire; far: Socket }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = new Promise<Wire>((resolve) => {
    acceptWires(server, wires, () => ({ noDelay: true, keepAliveMs: 0 }), resolve);
  });
  const { port } = server.address() as AddressInfo;
  const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  far.on("error", () => {});
  const near = await accepted;
  await (far.connecting ? once(far, "connect") : undefined);
  server.close();
  return { near, far };
}
