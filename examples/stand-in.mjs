// A server to stand in for one of yours: tells its name, then sends everything back.
//   node examples/stand-in.mjs <name> <port>
//   node examples/stand-in.mjs <name> <port> --http    an HTTP service: tells its name, and what it was asked for
//   node examples/stand-in.mjs <name> <port> --tls     the same through TLS, with its own certificate for that name
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import { generate } from "selfsigned";

const [name, port, kind] = process.argv.slice(2);

function serve(client) {
  client.on("error", () => client.destroy());
  client.write(`${name}\n`);
  client.pipe(client);
}

async function tlsServer() {
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], { keyType: "ec" });
  return createTlsServer({ cert, key }, serve);
}

function answer({ method, url }, response) {
  const status = method === "OPTIONS" ? 405 : 200;
  response.writeHead(status, { "Content-Type": "text/plain", "X-Powered-By": name }).end(`${name}: ${method} ${url}\n`);
}

const kinds = {
  "--http": () => createHttpServer(answer),
  "--tls": tlsServer,
  undefined: () => createServer({ allowHalfOpen: true }, serve),
};
const server = await kinds[kind]();
server.listen(Number(port), "127.0.0.1");
