import library, { type Packet, type Parser } from "mqtt-packet";
import { messageOf } from "../../errors.ts";

library.writeToStream.cacheNumbers = false; // else the first packet written makes 65,536 buffers: 30 ms, and 15 MB for good

/** Reads one whole packet with no byte behind it: what mqtt-packet makes of it, or why it does not like it. */
export type ParsePacket = (packet: Buffer) => Packet | string;

/**
 * mqtt-packet behind our own scanner: it never collects bytes, and answers before it returns. One parser serves all sessions, as
 * making one is the dearest part of a small packet; but none is used again after an error, as it does not forget its place.
 */
export function packetParser(protocolVersion?: 4 | 5): ParsePacket {
  let answer: Packet | string;
  let parser: Parser | undefined;
  const made = (): Parser => {
    const fresh = library.parser(protocolVersion === undefined ? {} : { protocolVersion });
    fresh.on("packet", (packet) => {
      answer = packet;
    });
    fresh.on("error", (cause) => {
      answer = messageOf(cause);
      parser = undefined;
    });
    return fresh;
  };
  return (packet) => {
    answer = "no packet";
    parser ??= made();
    parser.parse(packet);
    return answer;
  };
}
