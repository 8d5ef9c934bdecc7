import { ssh } from "../../src/preread/ssh.ts";
import { snifferLaws } from "../laws/sniffer-laws.ts";

snifferLaws(ssh(), [
  {
    name: "OpenSSH banner",
    bytes: Buffer.from("SSH-2.0-OpenSSH_9.2p1 Debian\r\nrest"),
    verdict: "match",
    info: { banner: "SSH-2.0-OpenSSH_9.2p1 Debian" },
  },
  {
    name: "banner ended by LF alone",
    bytes: Buffer.from("SSH-1.99-x\n"),
    verdict: "match",
    info: { banner: "SSH-1.99-x" },
  },
  { name: "the first letters", bytes: Buffer.from("SS"), verdict: "more" },
  { name: "a banner without end", bytes: Buffer.from(`SSH-${"x".repeat(400)}`), verdict: "mismatch" },
  { name: "another protocol", bytes: Buffer.from("GET / HTTP/1.1\r\n\r\n"), verdict: "mismatch" },
]);
