// A client for starttls-custom.ts: asks for TLS, and says its line when the connection is safe.
//   node examples/upgrading-client.mjs <port> <line>
import { once } from "node:events";
import { connect } from "node:net";
import process from "node:process";
import { connect as secure } from "node:tls";

const [port, line] = process.argv.slice(2);
const socket = connect({ port: Number(port), host: "127.0.0.1" });
socket.write("TLS?");
const [answer] = await once(socket, "data");
if (answer.toString() !== "YES\n") throw new Error(`no TLS here: ${answer}`);

const safe = secure({ socket, rejectUnauthorized: false }); // its certificate signs itself
await once(safe, "secureConnect");
console.log(`encrypted: ${safe.getProtocol()}`);
safe.end(`${line}\n`);
safe.pipe(process.stdout);
