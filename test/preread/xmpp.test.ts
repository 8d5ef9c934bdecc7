import { xmpp } from "../../src/preread/xmpp.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";
import { sample } from "./rig.ts";

const STREAMS = "xmlns:stream='http://etherx.jabber.org/streams'";

const samples: readonly Sample[] = [
  sample(
    "RFC 6120 §4.2: a client's stream",
    `<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to="im.example.com" version='1.0' xml:lang='en' xmlns='jabber:client' ${STREAMS}><x/>`,
    "match",
    { role: "client", to: "im.example.com", from: "juliet@im.example.com", version: "1.0" },
  ),
  sample(
    "a server's stream without declaration, over several lines",
    `<stream:stream\n  xmlns = 'jabber:server'\n  ${STREAMS}\n  to='a>b'\n>`,
    "match",
    { role: "server", to: "a>b", from: undefined, version: undefined },
  ),
  sample("a component", `<stream:stream ${STREAMS} xmlns='jabber:component:accept' to='c.example'>`, "match"),
  sample("a line end behind the declaration", `<?xml version="1.0"?>\n<stream:stream to='a'`, "more"),
  sample("the first byte", "<", "more"),
  sample("half a declaration", "<?xml vers", "more"),
  sample("another document", "<?xml version='1.0'?><html>", "mismatch"),
  sample("HTML", "<!doctype html>", "mismatch"),
  sample("Flash's request for a policy", "<policy-file-request/>\0", "mismatch"),
  sample("a declaration that is none", "<?xml version='1.0'><stream:stream ", "mismatch"),
  sample("another namespace", `<stream:stream xmlns='urn:x' ${STREAMS}>`, "mismatch"),
  sample("another stream namespace", "<stream:stream xmlns='jabber:client' xmlns:stream='urn:x'>", "mismatch"),
  sample("an empty stream", `<stream:stream xmlns='jabber:client' ${STREAMS}/>`, "mismatch"),
  sample("a tag that does not end before the next", `<stream:stream xmlns='jabber:client' ${STREAMS}<a>`, "mismatch"),
  sample("a longer name", `<stream:streams xmlns='jabber:client' ${STREAMS}>`, "mismatch"),
  sample("an attribute without quotes", `<stream:stream to=a xmlns='jabber:client' ${STREAMS}>`, "mismatch"),
  sample("a tag without end", `<stream:stream to='${"a".repeat(5_000)}`, "mismatch"),
];
snifferLaws(xmpp(), samples);
promptLaw(xmpp(), samples);
