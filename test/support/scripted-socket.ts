import { Socket } from "node:net";

/** What the network does to a socket, in turns of the event loop. */
export interface Weather {
  /** Turns before each chunk that is read, in order, again and again. */
  readonly pauses: readonly number[];
  /** Turns until each write is taken. */
  readonly lags: readonly number[];
  /** Bytes that may wait to be written before the socket is full. */
  readonly room: number;
}

/** A socket without a network: what comes in, and how fast what goes out is taken, is the test's to say. */
export class ScriptedSocket extends Socket {
  /** What was taken. */
  readonly written: Buffer[] = [];
  /** How many times somebody wrote. */
  writes = 0;
  readonly #weather: Weather;
  #reads = 0;

  constructor(weather: Weather) {
    super({ allowHalfOpen: true, ...{ highWaterMark: weather.room } });
    this.#weather = weather;
    this.on("error", () => {});
  }

  /** Lets chunks come in one by one, then the end. Stops, as a kernel does, while the reader does not want more. */
  async deliver(chunks: readonly Uint8Array[]): Promise<void> {
    const { pauses } = this.#weather;
    for (const chunk of chunks) {
      await turns(pauses[this.#reads++ % pauses.length] ?? 0);
      while (this.readableLength >= this.#weather.room && !this.destroyed) await turns(1);
      if (this.destroyed) return;
      this.push(Buffer.from(chunk));
    }
    this.push(null);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#take([chunk], done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer; readonly encoding: string }[],
    done: (error?: Error) => void,
  ): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error) => void): void {
    done();
  }

  #take(chunks: readonly Buffer[], done: (error?: Error) => void): void {
    const { lags } = this.#weather;
    void turns(lags[this.writes++ % lags.length] ?? 0).then(() => {
      this.written.push(...chunks.map((chunk) => Buffer.from(chunk)));
      done();
    });
  }
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}
