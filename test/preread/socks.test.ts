import { socks } from "../../src/preread/socks.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";
import { sample } from "./rig.ts";

const samples: readonly Sample[] = [
  sample("curl's greeting of version 5", "\x05\x02\x00\x01", "match", { version: 5, methods: [0, 1] }),
  sample("a greeting with a request behind it", "\x05\x01\x00\x05\x01\x00", "match", { version: 5, methods: [0] }),
  sample("a greeting that is not whole", "\x05\x03\x00\x02", "more"),
  sample("the version alone", "\x05", "more"),
  sample("RFC 1928 §3: no method", "\x05\x00", "mismatch"),
  sample("a server's word for no method", "\x05\x02\x00\xff", "mismatch"),
  sample("a method that nobody assigned", "\x05\x02\x00\x20", "mismatch"),
  sample("a request of version 4", "\x04\x01\x01\xbb\x7f\x00\x00\x01bob\0", "match", {
    version: 4,
    command: "connect",
    host: "127.0.0.1",
    port: 443,
    user: "bob",
  }),
  sample("a request of 4a without user", "\x04\x02\x00\x50\x00\x00\x00\x01\0a.example\0", "match", {
    version: 4,
    command: "bind",
    host: "a.example",
    port: 80,
    user: "",
  }),
  sample("curl's request for 0.0.1.0, which is no name", "\x04\x01\x00\x50\x00\x00\x01\x00\0", "match"),
  sample("a name of 4a that is not whole", "\x04\x01\x00\x50\x00\x00\x00\x01\0a.exa", "more"),
  sample("an empty name of 4a", "\x04\x01\x00\x50\x00\x00\x00\x01\0\0", "mismatch"),
  sample("a command that is none", "\x04\x03\x00\x50\x7f\x00\x00\x01\0", "mismatch"),
  sample("a user with control characters", "\x04\x01\x00\x50\x7f\x00\x00\x01\x01", "mismatch"),
  sample("a user without end", `\x04\x01\x00\x50\x7f\x00\x00\x01${"u".repeat(300)}`, "mismatch"),
  sample("a longest user", `\x04\x01\x00\x50\x7f\x00\x00\x01${"u".repeat(255)}\0`, "match"),
  sample("another version", "\x06\x01\x00", "mismatch"),
  sample("nothing", "", "more"),
];
snifferLaws(socks(), samples);
promptLaw(socks(), samples);
