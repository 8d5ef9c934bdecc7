// A line service: the gateway itself is the server. `session.reader` reads lines, blocks up to a delimiter, or so many
// bytes, as OpenResty's socket does; a result is `{ data }`, or `{ err, partial }`.
//
// In a terminal:
//   $ npm start -- --config examples/line-service.ts
//
// Try: keep a text of several lines, which ends with a dot on a line of its own; show it; take five bytes.
//   $ printf 'keep\nfirst line\nsecond line\n.\nshow\nquit\n' | nc -N 127.0.0.1 5050
//   ready
//   kept 22 bytes
//   first line
//   second line
//   bye
//   $ printf 'take 5\nhelloquit\n' | nc -N 127.0.0.1 5050
//   ready
//   took hello
//   bye
import { content, defineGateway, otherwise } from "restyconf";

const { LISTEN = "127.0.0.1:5050" } = process.env;

const keeper = content(async (session) => {
  const { reader } = session;
  reader.setTimeout(30_000); // between two bytes: whoever falls silent is not kept for ever
  const text = reader.receiveUntil("\n.\n", { maxBytes: 65_536 });
  let kept = "";
  await session.write("ready\n");
  for (;;) {
    const line = await reader.receive();
    if (line.err !== undefined) return; // closed, timeout, line too long: the session ends
    const [command, size = ""] = line.data.toString().split(" ");
    switch (command) {
      case "keep":
        kept = (await text()).data?.toString() ?? "";
        await session.write(`kept ${Buffer.byteLength(kept)} bytes\n`);
        break;
      case "show":
        await session.write(`${kept}\n`);
        break;
      case "take":
        await session.write(`took ${(await reader.receive(Number.parseInt(size, 10) || 0)).data ?? "nothing"}\n`);
        break;
      case "quit":
        return session.write("bye\n");
      default:
        await session.write(`unknown command: ${command}\n`);
    }
  }
});

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(keeper)], // no route asks for the client's bytes, so the service may speak first
    },
  },
});
