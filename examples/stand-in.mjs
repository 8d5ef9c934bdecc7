// A server to stand in for one of yours: tells its name, then sends everything back.
//   node examples/stand-in.mjs <name> <port>
import { createServer } from "node:net";
import process from "node:process";

const [name, port] = process.argv.slice(2);

createServer({ allowHalfOpen: true }, (client) => {
  client.on("error", () => client.destroy());
  client.write(`${name}\n`);
  client.pipe(client);
}).listen(Number(port), "127.0.0.1");
