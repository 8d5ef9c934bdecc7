import { connect } from "node:net";
import { TestServer } from "./servers.ts";

/** Stands between a client and a port, and passes the client's bytes on one by one, each in a segment of its own. */
export async function byteByByte(port: number): Promise<TestServer> {
  return TestServer.open((client) => {
    const onward = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    onward.on("error", () => client.destroy());
    onward.on("data", (chunk: Buffer) => client.write(chunk));
    onward.on("end", () => client.end());
    let queue = Promise.resolve();
    client.on("data", (chunk: Buffer) => {
      for (const byte of chunk)
        queue = queue.then(() => new Promise((resolve) => onward.write(Buffer.of(byte), () => setImmediate(resolve))));
    });
    client.on("end", () => {
      queue = queue.then(() => void onward.end());
    });
  });
}
