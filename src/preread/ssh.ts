import { match, mismatch, more, type Sniffer, startsWith } from "./sniffer.ts";

const MAX_BANNER = 255; // RFC 4253 §4.2: the identification line, CR LF included
const PREFIX = Buffer.from("SSH-");
const LF = 0x0a;

/** SSH: the client speaks first with `SSH-<version>-<software>\r\n` (RFC 4253 §4.2). */
export function ssh(): Sniffer<"ssh", { banner: string }> {
  return {
    name: "ssh",
    examples: [Buffer.from("SSH-2.0-OpenSSH_9.2\r\n")],
    sniff(head) {
      const start = startsWith(head, PREFIX);
      if (start.kind !== "match") return start;
      const end = head.subarray(0, MAX_BANNER).indexOf(LF);
      if (end === -1) return head.length < MAX_BANNER ? more(head.length + 1) : mismatch;
      return match({ banner: Buffer.from(head.subarray(0, end)).toString("latin1").trimEnd() });
    },
  };
}
