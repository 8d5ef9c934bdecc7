import { goodbyeHttp2 } from "../codecs/goodbye/http2.ts";
import { refuseHttp2 } from "../codecs/refusal/http2.ts";
import { match, mismatch, more, type Sniffer, startsWith } from "./sniffer.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); // RFC 9113 §3.4

/** The preface tells nothing of the request: names are compressed behind it. */
export type Http2Info = Readonly<Record<string, never>>;

/** HTTP/2 with prior knowledge, and so gRPC in clear text: the client speaks first with the preface (RFC 9113 §3.4). */
export function http2(): Sniffer<"http2", Http2Info> {
  return {
    name: "http2",
    refuse: refuseHttp2,
    goodbye: goodbyeHttp2,
    examples: [PREFACE],
    sniff(head) {
      const start = startsWith(head, PREFACE);
      if (start.kind === "more") return more(head.length + 1); // the very next byte may tell another protocol
      return start.kind === "match" ? match({}) : mismatch;
    },
  };
}
