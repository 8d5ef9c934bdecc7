import { latin1 } from "../codecs/latin1.ts";
import { refuseSsh } from "../codecs/refusal/ssh.ts";
import { match, mismatch, more, type Sniffer, startsWith } from "./sniffer.ts";

const MAX_BANNER = 255; // RFC 4253 §4.2: the identification line, CR LF included
const PREFIX = Buffer.from("SSH-");
const LF = 0x0a;

/** SSH: the client speaks first with `SSH-<version>-<software>\r\n` (RFC 4253 §4.2). */
export function ssh(): Sniffer<"ssh", { banner: string }> {
  return {
    name: "ssh",
    refuse: refuseSsh,
    examples: [Buffer.from("SSH-2.0-OpenSSH_9.2\r\n")],
    sniff(head) {
      const start = startsWith(head, PREFIX);
      if (start.kind !== "match") return start;
      const end = head.indexOf(LF);
      if (end === -1 && head.length < MAX_BANNER) return more(head.length + 1);
      return end !== -1 && end < MAX_BANNER ? match({ banner: latin1(head, 0, end).trimEnd() }) : mismatch;
    },
  };
}
