// The first bytes that clients send, by which a contestant chooses.
import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "node:tls";

/** An MQTT 3.1.1 CONNECT of 25 bytes: the opening of all modes but those which compare sniffing. */
export const MQTT_CONNECT = Buffer.from("\x10\x17\x00\x04MQTT\x04\x02\x00\x3c\x00\x0bbench-00001", "latin1");

/** What answers an opening: an MQTT CONNACK. */
export const REPLY_BYTES = 4;

const WIDTH = 4; // digits, so that all prefixes have one length

/** The server name of route `index`. @param {number} index */
export const nameOf = (index) => `n${padded(index)}.bench.test`;

/** The prefix of route `index`. @param {number} index */
export const prefixOf = (index) => `ROUTE${padded(index)}`;

/** 25 bytes that begin with the prefix of route `index`. @param {number} index */
export const prefixOpening = (index) => Buffer.from(prefixOf(index).padEnd(MQTT_CONNECT.length, "."));

/**
 * A ClientHello as Node.js sends it, for one server name.
 * @param {string} servername
 * @returns {Promise<Buffer>}
 */
export async function clientHello(servername) {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  const client = connect({ port: address.port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  client.on("error", () => {}); // nobody answers it
  try {
    const [socket] = await once(server, "connection");
    const [hello] = await once(socket, "data");
    socket.destroy();
    return hello;
  } finally {
    client.destroy();
    server.close();
  }
}

/** @param {number} index */
function padded(index) {
  return String(index).padStart(WIDTH, "0");
}
