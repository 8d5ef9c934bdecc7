// A server to stand in for one of yours: tells its name, then sends everything back.
//   node examples/stand-in.mjs <name> <port>
//   node examples/stand-in.mjs <name> <port> --tls     the same through TLS, with its own certificate for that name
import { createServer } from "node:net";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import { generate } from "selfsigned";

const [name, port, tls] = process.argv.slice(2);

function serve(client) {
  client.on("error", () => client.destroy());
  client.write(`${name}\n`);
  client.pipe(client);
}

async function tlsServer() {
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], { keyType: "ec" });
  return createTlsServer({ cert, key }, serve);
}

const server = tls === "--tls" ? await tlsServer() : createServer({ allowHalfOpen: true }, serve);
server.listen(Number(port), "127.0.0.1");
