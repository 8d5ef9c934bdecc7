import type { Socket } from "node:net";
import { type Codec, frame, malformed, needs } from "../../src/codecs/codec.ts";
import { Inlet } from "../../src/stream/inlet.ts";
import { Reader, type Received, type ReceivedFrame, type RunEnd } from "../../src/stream/reader.ts";
import { memorySocket } from "../support/memory-socket.ts";
import { socketPair } from "../support/sockets.ts";

const open: { destroy(): unknown }[] = [];

/** Closes what the test has opened: for `afterEach`. */
export function closeReaders(): void {
  for (const socket of open.splice(0)) socket.destroy();
}

/** A reader of a socket; both are closed after the test. */
export function readerOf(socket: Socket): Reader {
  const reader = new Reader(new Inlet(socket), { peekBytes: 16 });
  open.push(socket);
  return reader;
}

/** A reader of bytes which are there from the start, in these chunks; null is the end. */
export const reading = (...chunks: (string | null)[]): Reader => readerOf(memorySocket(...chunks));

/** Results as text: `data`, `err [partial]`, or `{}`. */
export function said(result: Received | RunEnd | ReceivedFrame<string>): string {
  if (result.err !== undefined) return `${result.err} [${result.partial}]`;
  if ("value" in result) return String(result.value);
  return result.data === undefined ? "{}" : result.data.toString();
}

/** The results of reads, one after the other. */
export async function all(...reads: (() => Promise<Received | RunEnd>)[]): Promise<string[]> {
  const results: string[] = [];
  for (const read of reads) results.push(said(await read()));
  return results;
}

/** What the client does is told by `far`; time passes by the test's own clock. */
export function withClient(): { reader: Reader; far: Socket } {
  const far = memorySocket();
  return { reader: readerOf(far), far };
}

/** Two lets of the queue: a push arrives, a read goes on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A reader of a real connection, and the client's end of it. */
export async function connected(): Promise<{ reader: Reader; near: Socket; far: Socket }> {
  const { near, far } = await socketPair();
  open.push(far);
  return { reader: readerOf(near), near, far };
}

/** `5:hello,`: a frame with a length in front. */
export const netstring: Codec<string> = {
  name: "netstring",
  decode(bytes) {
    const text = Buffer.from(bytes).toString("latin1");
    const [, digits, colon] = /^(\d{0,3})(:?)/.exec(text) ?? [];
    if (digits === undefined || (colon === "" && text.length > digits.length)) return malformed("bad length");
    if (colon === "") return needs(text.length + 1);
    const end = digits.length + 1 + Number(digits);
    if (text.length <= end) return needs(end + 1);
    return text[end] === "," ? frame(text.slice(digits.length + 1, end), end + 1) : malformed("no comma");
  },
  encode: (value) => Buffer.from(`${value.length}:${value},`),
};
