import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { connect } from "../../../src/stream/socket/connect.ts";
import type { ConnectOptions } from "../../../src/stream/socket/connect-settings.ts";
import type { SocketReceived } from "../../../src/stream/socket/results.ts";
import type { StreamSocket } from "../../../src/stream/socket/socket.ts";
import { TestServer } from "../../support/servers.ts";

const opened: (() => unknown)[] = [];

/** Closes what the tests have opened: for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

/** Closes it after the test. */
export function later(close: () => unknown): void {
  opened.push(close);
}

/** A server that does this with each client; echoes when nothing is said. */
export async function serving(serve: (client: Socket) => void = (client) => client.pipe(client)): Promise<TestServer> {
  const server = await TestServer.open(serve);
  later(() => server[Symbol.asyncDispose]());
  return server;
}

/** A server that sends these bytes and then its end. */
export const saying = (text: string): Promise<TestServer> => serving((client) => void client.end(text));

/** A server that sends these bytes and stays. */
export const saysAndStays = (text: string): Promise<TestServer> => serving((client) => void client.write(text));

/** Says nothing, reads everything, never ends by itself. */
export const silent = (): Promise<TestServer> => serving((client) => void client.resume());

/** A socket that has to come about. */
export async function socketTo(address: string, options?: ConnectOptions): Promise<StreamSocket> {
  const { socket, err } = await connect(address, options);
  if (!socket) throw new Error(`connect: ${err}`);
  later(() => socket[Symbol.dispose]());
  return socket;
}

/** The only client of a server, once it is there. */
export async function onlyClient(server: TestServer): Promise<Socket> {
  for (;;) {
    const [client] = server.sockets;
    if (client) return client;
    await new Promise((resolve) => server.server.once("connection", resolve));
  }
}

/** A socket to a server that says these bytes and stays; they have come. */
export async function heard(text: string): Promise<{ readonly server: TestServer; readonly socket: StreamSocket }> {
  const server = await saysAndStays(`!${text}`); // in one piece, so that all are here with the first
  const socket = await socketTo(server.address);
  await socket.receive(1);
  return { server, socket };
}

/** A result as text: the data, or `err [partial]`. */
export function said({ data, err, partial }: SocketReceived): string {
  return err === undefined ? String(data) : `${err} [${partial}]`;
}

/** A TLS server on a free port. */
export class TlsServer {
  readonly server: Server;
  /** One entry per finished handshake: the name that was asked for, and whether a session was resumed. */
  readonly handshakes: { name: string | undefined; reused: boolean; certificate: string | undefined }[] = [];
  /** TCP connections so far. */
  accepted = 0;

  private constructor(server: Server) {
    this.server = server;
  }

  static async open(
    options: TlsOptions,
    serve: (client: TLSSocket) => void = (client) => client.pipe(client),
  ): Promise<TlsServer> {
    const tls = new TlsServer(createServer({ ...options }));
    const sockets = new Set<Socket>();
    tls.server.on("connection", (socket: Socket) => {
      tls.accepted++;
      sockets.add(socket);
      socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    });
    tls.server.on("tlsClientError", () => {}); // handshakes fail on purpose
    tls.server.on("secureConnection", (client) => {
      client.on("error", () => {});
      const { CN: certificate } = client.getPeerCertificate().subject ?? {};
      const name = typeof client.servername === "string" && client.servername !== "" ? client.servername : undefined;
      tls.handshakes.push({
        name,
        reused: client.isSessionReused(),
        certificate: String(certificate ?? "") || undefined,
      });
      serve(client);
    });
    await new Promise<void>((resolve) => tls.server.listen(0, "127.0.0.1", resolve));
    later(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => tls.server.close(resolve));
    });
    return tls;
  }

  get address(): string {
    const bound = this.server.address();
    return `127.0.0.1:${bound !== null && typeof bound === "object" ? bound.port : 0}`;
  }
}
