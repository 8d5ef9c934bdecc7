import { http2 } from "../../src/preread/http2.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

const samples: readonly Sample[] = [
  {
    name: "RFC 9113 §3.4: the preface and SETTINGS",
    bytes: Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1"),
    verdict: "match",
    info: {},
  },
  { name: "the preface but its last byte", bytes: Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r"), verdict: "more" },
  { name: "a command with the same first letter", bytes: Buffer.from("PING\r\n"), verdict: "mismatch" },
  { name: "HTTP/1.1", bytes: Buffer.from("GET / HTTP/1.1\r\n\r\n"), verdict: "mismatch" },
];
snifferLaws(http2(), samples);
promptLaw(http2(), samples);
