import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import { createServer as createSecureWebServer } from "node:https";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Aedes } from "aedes";
import { pack, UnpackrStream } from "msgpackr";
import { generate } from "selfsigned";

// Stand-ins for your own servers. They know nothing of the gateway, and listen on unix sockets in a folder of their own,
// so that no port of yours is taken. Here is only the name of that folder; `startUpstreams` makes it.
const folder = join(tmpdir(), `restyconf-${randomUUID().slice(0, 8)}`);
const at = (name: string): string => `unix:${join(folder, `${name}.sock`)}`;

/** The address of each upstream. */
export const addresses = {
  broker: at("broker"),
  page: at("page"),
  game: at("game"),
  greeter: at("greeter"),
  lines: at("lines"),
  raw: at("raw"),
};

/** Starts all upstreams in this process. They end with it. */
export async function startUpstreams(): Promise<void> {
  const servers: Record<keyof typeof addresses, Server> = {
    broker: await mqttBroker(),
    page: createWebServer((_, response) => response.end("Hello from the web page.\n")),
    game: service(play),
    greeter: service(greet),
    lines: service(serveLines),
    raw: await secretKeeper(),
  };
  await mkdir(folder, { mode: 0o700 });
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const [name, server] of Object.entries(servers)) {
    server.listen(join(folder, `${name}.sock`)).unref(); // the gateway alone decides how long the process lives
    await once(server, "listening");
  }
}

async function mqttBroker(): Promise<Server> {
  const broker = await Aedes.createBroker();
  return createServer(broker.handle);
}

/** A server that runs one function per client. A client that breaks the protocol, or goes away, is dropped. */
function service(serve: (client: Socket) => Promise<void>): Server {
  return createServer({ allowHalfOpen: true }, (client) => {
    client.on("error", () => client.destroy());
    serve(client).then(
      () => client.end(),
      () => client.destroy(),
    );
  });
}

/** The game: one msgpack value per message, both ways. */
async function play(client: Socket): Promise<void> {
  const messages: AsyncIterable<unknown> = client.pipe(new UnpackrStream({ useRecords: false }));
  for await (const message of messages) {
    const cmd = typeof message === "object" && message && "cmd" in message ? message.cmd : undefined;
    if (cmd === "quit") return;
    client.write(pack(cmd === "login" ? { welcome: "player 1" } : { error: "unknown cmd" }));
  }
}

/** The line service answers each line, until `quit`. */
async function serveLines(client: Socket): Promise<void> {
  for await (const line of createInterface({ input: client })) {
    if (line === "quit") return;
    client.write(`You said: ${line}\n`);
  }
}

/** The greeter speaks first, as SMTP, FTP and MySQL servers do. */
async function greet(client: Socket): Promise<void> {
  client.write("Who is there?\n");
  for await (const name of createInterface({ input: client })) {
    client.write(`Hello, ${name}!\n`);
    return;
  }
}

/** A web server that has its own certificate and key: no gateway can read what its clients say. */
async function secretKeeper(): Promise<Server> {
  const { cert, private: key } = await generate(
    [
      { name: "commonName", value: "raw.example.test" },
      { name: "organizationName", value: "The upstream itself" },
    ],
    { keyType: "ec" },
  );
  return createSecureWebServer({ cert, key }, (_, response) => response.end("Only you and I can read this.\n"));
}
