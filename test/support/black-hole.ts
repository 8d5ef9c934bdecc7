import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** Listens with the smallest backlog, then stops for good: nothing is ever accepted. */
const LISTEN_AND_STOP = `
  const { createServer } = require("node:net");
  const { parentPort, workerData } = require("node:worker_threads");
  const server = createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(workerData), 0, 0);
    process.exit();
  });
`;

/** A port on which a connect gets no answer at all, as behind a firewall that drops: its accept queue is full. */
export class BlackHole implements AsyncDisposable {
  readonly port: number;
  readonly #worker: Worker;
  readonly #gate: SharedArrayBuffer;
  readonly #fill: readonly Socket[];

  private constructor(port: number, worker: Worker, gate: SharedArrayBuffer, fill: readonly Socket[]) {
    this.port = port;
    this.#worker = worker;
    this.#gate = gate;
    this.#fill = fill;
  }

  static async open(): Promise<BlackHole> {
    const gate = new SharedArrayBuffer(4);
    const worker = new Worker(LISTEN_AND_STOP, { eval: true, workerData: gate });
    const [port] = await once(worker, "message");
    const fill: Socket[] = [];
    for (let isFull = false; !isFull && fill.length < 16; ) {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      fill.push(socket);
      await Promise.race([once(socket, "connect"), sleep(200)]);
      await turn(); // who was held up hears of the time first, and of a connect only then
      isFull = socket.connecting;
    }
    return new BlackHole(port, worker, gate, fill);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#fill) socket.destroy();
    Atomics.store(new Int32Array(this.#gate), 0, 1);
    Atomics.notify(new Int32Array(this.#gate), 0);
    await this.#worker.terminate();
  }
}
