// The game server's end of a link, in plain Node: gateways connect to it and announce themselves. See docs/link.md.
//   node examples/link-client.mjs <port>
// Prints each frame as a line of JSON, and sends each line of JSON on its standard input to all gateways:
//   {"type":"push","id":1,"session":"…","data":"hello"}
//   {"type":"unban","id":2,"whom":"203.0.113.7"}
import { createServer } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";

/** msgpack, each kind of value in its longest form. */
function pack(value) {
  const sized = (first, count, ...parts) =>
    Buffer.concat([Buffer.of(first, count >>> 24, count >>> 16, count >>> 8, count), ...parts]);
  if (value === null || value === undefined) return Buffer.of(0xc0);
  if (typeof value === "boolean") return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === "string") return sized(0xdb, Buffer.byteLength(value), Buffer.from(value));
  if (Array.isArray(value)) return sized(0xdd, value.length, ...value.map(pack));
  if (typeof value === "object")
    return sized(0xdf, Object.keys(value).length, ...Object.entries(value).flat().map(pack));
  const number = Buffer.alloc(9, 0xcb);
  number.writeDoubleBE(value, 1);
  return number;
}

/** All of msgpack but extensions. Bytes are shown as text. */
function unpack(bytes) {
  let at = 0;
  const take = (size) => {
    at += size;
    return bytes.subarray(at - size, at);
  };
  const uint = (size) => BigInt(`0x${take(size).toString("hex")}`);
  const text = (size) => take(size).toString();
  const list = (size) => Array.from({ length: size }, value);
  const map = (size) => Object.fromEntries(Array.from({ length: size }, () => [value(), value()]));
  const sized = {
    ...{ 196: [1, text], 197: [2, text], 198: [4, text], 217: [1, text], 218: [2, text], 219: [4, text] },
    ...{ 220: [2, list], 221: [4, list], 222: [2, map], 223: [4, map] },
  };
  const plain = { 192: null, 194: false, 195: true };
  function value() {
    const first = Number(uint(1));
    if (first < 0x80) return first;
    if (first < 0x90) return map(first - 0x80);
    if (first < 0xa0) return list(first - 0x90);
    if (first < 0xc0) return text(first - 0xa0);
    if (first >= 0xe0) return first - 0x100;
    if (first in plain) return plain[first];
    const [width, read] = sized[first] ?? [];
    if (read) return read(Number(uint(width)));
    if (first === 0xca) return take(4).readFloatBE();
    if (first === 0xcb) return take(8).readDoubleBE();
    const size = 2 ** (first % 4); // cc to cf: unsigned, d0 to d3: signed
    return Number(first < 0xd0 ? uint(size) : BigInt.asIntN(8 * size, uint(size)));
  }
  return value();
}

const gateways = new Set();

function send(socket, frame) {
  const bytes = pack(frame);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  socket.write(Buffer.concat([length, bytes]));
}

function hear(socket, frame) {
  console.log(JSON.stringify(frame));
  if (frame.type === "hello") send(socket, { type: "welcome" });
  if (frame.type === "ping") send(socket, { type: "pong", id: frame.id });
}

const server = createServer((socket) => {
  let unread = Buffer.alloc(0);
  gateways.add(socket);
  socket.on("error", () => {}); // closed, too
  socket.on("close", () => gateways.delete(socket));
  socket.on("data", (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 4 && unread.length >= 4 + unread.readUInt32BE()) {
      const end = 4 + unread.readUInt32BE();
      hear(socket, unpack(unread.subarray(4, end)));
      unread = unread.subarray(end);
    }
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(JSON.stringify(server.address())));

createInterface({ input: process.stdin }).on("line", (line) => {
  for (const socket of gateways) send(socket, JSON.parse(line));
});
