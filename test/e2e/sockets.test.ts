import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { TestServer } from "../support/servers.ts";

const opened: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

function tracked<T extends AsyncDisposable>(each: T): T {
  opened.push(each);
  return each;
}

/** A server that writes down each line, and confirms it. */
async function diary(): Promise<{ server: TestServer; lines: string[] }> {
  const lines: string[] = [];
  const server = tracked(
    await TestServer.open((client) => {
      const reader = createInterface({ input: client });
      reader.on("error", () => {}); // it says the socket's errors again
      reader.on("line", (line) => {
        lines.push(line);
        client.write(`noted ${line}\n`);
      });
      client.on("end", () => client.end());
    }),
  );
  return { server, lines };
}

/** A module's function that tells the diary something, and waits for the answer. */
const tell = (address: string): string => `
  import { connect } from "restyconf";
  const tell = async (what, signal) => {
    const { socket, err } = await connect("${address}", { signal, readMs: 5_000 });
    if (err) throw new Error(err);
    await socket.send(what + "\\n");
    const { data } = await socket.receive();
    if (String(data) !== "noted " + what) throw new Error("answered " + data);
    await socket.setKeepalive();
  };`;

test("every phase may open sockets: init and timers, handshake, preread, access, balancer, content, log", async () => {
  const { server, lines } = await diary();
  const peer = tracked(await TestServer.open((client) => void client.pipe(client)));
  const gateway = tracked(
    await Gateway.start(
      `${tell(server.address)}
      import { content, defineGateway, on, otherwise, proxy } from "restyconf";
      import { bytes } from "restyconf/preread";
      export default defineGateway({
        phases: { initWorker: async () => { await tell("initWorker"); setTimeout(() => tell("timer"), 1); } },
        upstreams: { echo: { peers: ["${peer.address}"] } },
        servers: { edge: {
          listen: "127.0.0.1:0",
          ssl: { mode: "auto", certs: "." },
          routes: [
            on(bytes("PROXY"), proxy("echo")),
            otherwise(content(async (session) => { await tell("content", session.signal); await session.write("done\\n"); })),
          ],
          phases: {
            sslCertificate: async (session) => tell("sslCertificate", session.signal),
            preread: async (session) => tell("preread", session.signal),
            access: async (session) => tell("access", session.signal),
            balancer: async (session) => tell("balancer", session.signal),
            log: () => tell("log"),
          },
        } },
      });`,
      { files: await certificateFiles() },
    ),
  );
  const tls = await dialTls(gateway.port(), { servername: "localhost" });
  tls.write("anything\n");
  expect(await readUntil(tls, (text) => text.includes("done"))).toBe("done\n");
  tls.destroy();
  expect(await exchange(gateway.port(), "PROXY me")).toBe("PROXY me");
  const expected = ["initWorker", "timer", "sslCertificate", "preread", "access", "content", "balancer", "log"];
  await eventually(() => expect(new Set(lines)).toEqual(new Set(expected)));
  expect(server.accepted).toBeLessThanOrEqual(3); // one connection, and few more where phases overlap
});

test("the end of a session closes the sockets that it left open, and gives up what waits", async () => {
  const { server } = await diary();
  const gateway = tracked(
    await Gateway.start(`
      import { connect, content, defineGateway, otherwise } from "restyconf";
      export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
        const { socket } = await connect("${server.address}", { signal: session.signal });
        await connect("${server.address}", { signal: session.signal });
        socket.receive().then(({ err }) => console.log("read: " + err));
        await session.write("open\\n");
        await session.reader.receive();
      }))] } } });`),
  );
  const client = await dialIn(gateway.port());
  client.write("hello\n");
  expect(await readUntil(client, (text) => text.includes("open"))).toBe("open\n");
  client.destroy();
  await gateway.access();
  await eventually(() => expect(server.sockets.size).toBe(0));
  await eventually(() => expect(gateway.stdout).toContain("read: aborted"));
});
