import { match, mismatch, more, type Sniffer, startsWith } from "../../src/preread/index.ts";

const MAGIC = Buffer.from("GAME");
const HEADER = 6; // the magic, a version, the length of the room's name

/** Our game's clients speak first: `GAME`, a version, and the room that they want to join. */
export function game(): Sniffer<"game", { version: number; room: string }> {
  return {
    name: "game",
    examples: [Buffer.from("GAME\x01\x05lobby")],
    sniff(head) {
      const start = startsWith(head, MAGIC);
      if (start.kind !== "match") return start;
      const [version, length] = head.subarray(MAGIC.length);
      if (version === 0 || length === 0) return mismatch;
      if (length === undefined || version === undefined) return more(head.length + 1);
      if (head.length < HEADER + length) return more(HEADER + length);
      return match({ version, room: Buffer.from(head.subarray(HEADER, HEADER + length)).toString() });
    },
  };
}
