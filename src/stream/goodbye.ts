import type { Socket } from "node:net";
import { mayReset } from "./reset.ts";

/** How long, and how much, a client may go on talking after our last byte. A fraction of nginx's 5 s: a gateway has many. */
const LINGER_MS = 1_000;
const LINGER_BYTES = 1_048_576;

/**
 * Ends a connection: what was written is flushed, then no more is heard of it. Each of `later` is written when the other end has
 * said something again, and our end comes behind the last one.
 */
export function sayGoodbye(stream: Socket, hasEnded: boolean, later: readonly Uint8Array[] = []): void {
  const goodbye = setTimeout(() => stream.destroy(), LINGER_MS); // whoever does not read our end is not waited for
  stream.once("close", () => clearTimeout(goodbye));
  if (hasEnded || later.length === 0) stream.end();
  if (hasEnded) stream.destroySoon();
  else linger(stream, later);
}

/**
 * Closing a socket with unread bytes makes the kernel reset it, and the reset overtakes our last words.
 * So what still comes is read and thrown away for a while (nginx: `lingering_close`).
 */
function linger(stream: Socket, later: readonly Uint8Array[]): void {
  let left = LINGER_BYTES;
  let said = 0;
  stream.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) stream.destroy();
    const words = later[said++];
    if (words) stream.write(words);
    if (words && said === later.length) stream.end();
  });
  stream.once("end", () => stream.destroySoon());
  stream.resume();
}

/** Ends a connection with a reset, so that the other end does not take it for a clean close. */
export function resetBoth(side: { readonly stream: Socket; readonly transport: Socket }): void {
  if (mayReset(side)) side.transport.resetAndDestroy();
  side.transport.destroy();
  side.stream.destroy();
}
