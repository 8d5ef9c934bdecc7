import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A server of the test itself, on a free port. */
export class TestServer implements AsyncDisposable {
  readonly server: Server;
  readonly sockets: Set<Socket> = new Set<Socket>();
  /** Connections so far. */
  accepted = 0;

  private constructor(server: Server) {
    this.server = server;
  }

  static async open(serve: (socket: Socket) => void, { host = "127.0.0.1" } = {}): Promise<TestServer> {
    const server = createServer({ allowHalfOpen: true });
    const test = new TestServer(server);
    server.on("connection", (socket) => {
      test.accepted++;
      test.sockets.add(socket);
      socket.on("error", () => {}); // clients of tests reset on purpose
      socket.once("close", () => test.sockets.delete(socket));
      serve(socket);
    });
    server.listen(0, host);
    await once(server, "listening");
    return test;
  }

  get port(): number {
    const address = this.server.address() as AddressInfo;
    return address.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

/** Sends everything back, and its own end after the client's. */
export function echo(): Promise<TestServer> {
  return TestServer.open((socket) => void socket.pipe(socket));
}

/** Says its name in front of all that it echoes, so that a test sees who answered. */
export function named(name: string): Promise<TestServer> {
  return TestServer.open((socket) => {
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
}
