import net from "node:net";
import { describe, expect, test } from "vitest";
import type { Incoming } from "../../../src/stream/incoming.ts";
import { type Inherited, Listener } from "../../../src/stream/listener.ts";
import { type InheritedSocket, InheritedSockets } from "../../../src/worker/master/inherited-sockets.ts";
import { dialIn, readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";

// Sockets that come from another process. Here one process has both parts, and opens the socket anew where a master would send it again.

const NAME = { key: "127.0.0.1:0", place: 0 };

/** A socket as a master opens it: bound, and not accepting. */
function openSocket(port: number): InheritedSocket & { getsockname(out: object): void } {
  const create = Reflect.get(net, "_createServerHandle");
  return create("127.0.0.1", port, 4, -1, 0);
}

function portOf(socket: { getsockname(out: object): void }): number {
  const bound = { port: 0 };
  socket.getsockname(bound);
  return bound.port;
}

/** Listens at a socket; each client is counted, and hears the end. */
async function listen(inherited: Inherited): Promise<{ readonly listener: Listener; readonly told: unknown[] }> {
  const told: unknown[] = [];
  const error = (text: string, fields: unknown): void => void told.push([text, fields]);
  const log = { error, warn() {}, info() {}, debug() {}, access() {} };
  const listener = await Listener.open(
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    {
      noDelay: true,
      ipv6Only: false,
      keepAliveMs: 0,
      log,
      hasRoom: () => true,
      onIncoming: (incoming: Incoming) => incoming.close("end"),
    },
    inherited,
  );
  return { listener, told };
}

/** Resolves when a client has heard the end from whoever accepts there. */
async function served(port: number): Promise<void> {
  const socket = await dialIn(port);
  await readAll(socket);
  socket.destroy();
}

describe("a port at an inherited socket", () => {
  test("whose accept fails leaves it, asks for it again, and accepts there again", async () => {
    const first = openSocket(0);
    const port = portOf(first);
    const sockets = new InheritedSockets((name) => {
      expect(name).toEqual(NAME);
      sockets.add(name, openSocket(port));
    });
    sockets.add(NAME, first);
    const [socket = first] = sockets.take(NAME.key).values();
    const { listener, told } = await listen({ socket, again: () => sockets.again(NAME) });
    await served(port);
    listener.server.emit("error", new Error("accept EMFILE")); // as Node tells of it
    await expect(dialIn(port)).rejects.toMatchObject({ code: "ECONNREFUSED" }); // the copy is closed, so nothing spins
    await eventually(() => served(port));
    expect(told).toEqual([["accept failed", expect.objectContaining({ reason: "accept EMFILE" })]]);
    await listener.close();
  });

  test("tries again where the socket does not come, until it does", async () => {
    const first = openSocket(0);
    const port = portOf(first);
    let asked = 0;
    const again = async (): Promise<InheritedSocket> => {
      if (++asked < 3) throw new Error("the socket has not arrived");
      return openSocket(port);
    };
    const { listener } = await listen({ socket: first, again });
    listener.server.emit("error", new Error("accept ENFILE"));
    await eventually(() => served(port));
    expect(asked).toBe(3);
    await listener.close();
  });

  test("that was closed meanwhile closes what still comes", async () => {
    const first = openSocket(0);
    const port = portOf(first);
    let give: (socket: InheritedSocket) => void = () => {};
    const asked = new Promise<void>((resolve) => {
      const again = (): Promise<InheritedSocket> => {
        resolve();
        return new Promise((come) => {
          give = come;
        });
      };
      void listen({ socket: first, again }).then(({ listener }) => {
        listener.server.emit("error", new Error("accept EMFILE"));
        void asked.then(() => listener.close());
      });
    });
    await asked;
    const late = openSocket(port);
    late.listen(1);
    give(late);
    await eventually(() => expect(dialIn(port)).rejects.toMatchObject({ code: "ECONNREFUSED" }));
  });
});

describe("sockets on their way", () => {
  test("wait by their address until a port takes them, once", () => {
    const sockets = new InheritedSockets(() => {});
    const [one, other] = [openSocket(0), openSocket(0)];
    sockets.add({ key: "a", place: 0 }, one);
    sockets.add({ key: "a", place: 2 }, other);
    expect([...sockets.take("a")]).toEqual([
      [0, one],
      [2, other],
    ]);
    expect(sockets.take("a").size).toBe(0);
    one.close();
    other.close();
  });

  test("that get lost are not waited for longer than a second", async () => {
    const sockets = new InheritedSockets(() => {});
    await expect(sockets.again(NAME)).rejects.toThrow("the socket has not arrived");
  });

  test("that the master has no more are told as such", async () => {
    const sockets = new InheritedSockets((name) => sockets.add(name, undefined));
    await expect(sockets.again(NAME)).rejects.toThrow("there is no such socket any more");
  });
});
