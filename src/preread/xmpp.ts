import { latin1 } from "../codecs/latin1.ts";
import { refuseXmpp } from "../codecs/refusal/xmpp.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `xmpp()` learned of the stream's opening tag; texts as the client wrote them. */
export interface XmppInfo {
  /** Who is calling: a user's client, another server, or a component of this one (XEP-0114). */
  readonly role: "client" | "server" | "component";
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly version: string | undefined;
}

const MAX_OPENING = 4096; // declaration and tag; clients send some 200 bytes
const DECLARATION = "<?xml ";
const TAG = "<stream:stream";
const STREAMS = "http://etherx.jabber.org/streams"; // RFC 6120 §4.8.1
/** Sticky, so that what stands between two attributes is not skipped. */
const ATTRIBUTE = /\s+([A-Za-z_:][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')/gy;
const ROLES: ReadonlyMap<string | undefined, XmppInfo["role"]> = new Map([
  ["jabber:client", "client"],
  ["jabber:server", "server"],
  ["jabber:component:accept", "component"],
]);

/** XMPP: the client speaks first with `<stream:stream …>`, mostly behind an XML declaration (RFC 6120 §4.2). */
export function xmpp(): Sniffer<"xmpp", XmppInfo> {
  return {
    name: "xmpp",
    refuse: refuseXmpp,
    examples: [
      Buffer.from(`<?xml version='1.0'?>${TAG} to='example.com' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`),
    ],
    sniff(head) {
      const verdict = opening(latin1(head, 0, Math.min(head.length, MAX_OPENING)));
      // What is still open at the limit will not be asked again.
      return verdict.kind === "more" && verdict.atLeast > MAX_OPENING ? mismatch : verdict;
    },
  };
}

/** Reads four kilobytes at most from the start each time: eight million steps for a client that sends them one by one. */
function opening(text: string): Verdict<XmppInfo> {
  const tagAt = text.startsWith(DECLARATION) ? afterDeclaration(text) : 0;
  if (tagAt === undefined) return mismatch;
  const begun = text.slice(tagAt, tagAt + TAG.length);
  if (!TAG.startsWith(begun) && !(tagAt === 0 && DECLARATION.startsWith(text))) return mismatch;
  if (begun !== TAG) return more(text.length + 1);
  const end = endOfTag(text, tagAt + TAG.length);
  return end === -1 ? more(text.length + 1) : judged(text.slice(tagAt + TAG.length, end + 1));
}

/** Where the tag begins, the text's end while that is not known; undefined when the declaration is none. */
function afterDeclaration(text: string): number | undefined {
  const close = text.indexOf(">");
  if (close === -1) return text.length;
  if (text[close - 1] !== "?") return undefined;
  return close + 1 + (/^[ \t\r\n]*/.exec(text.slice(close + 1))?.[0].length ?? 0);
}

/** Where the tag ends: at the first `>` outside quotes, or at what can stand in no tag. */
function endOfTag(text: string, from: number): number {
  let quote = "";
  for (let at = from; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === "<" || char === "\0" || (quote === "" && char === ">")) return at;
    if (quote === char) quote = "";
    else if (quote === "" && (char === "'" || char === '"')) quote = char;
  }
  return -1;
}

function judged(tag: string): Verdict<XmppInfo> {
  const attributes = new Map<string, string>();
  let size = 0;
  for (const [whole, name = "", double, single] of tag.matchAll(ATTRIBUTE)) {
    attributes.set(name, double ?? single ?? "");
    size += whole.length;
  }
  const role = ROLES.get(attributes.get("xmlns"));
  if (tag.slice(size).trim() !== ">" || role === undefined || attributes.get("xmlns:stream") !== STREAMS)
    return mismatch;
  return match({ role, to: attributes.get("to"), from: attributes.get("from"), version: attributes.get("version") });
}
