import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { reasonOf, secondsOf } from "./words.ts";

/** What an answer depends on: who is calling, and by which name. */
export interface RefusedStream {
  readonly role: "client" | "server" | "component";
  readonly to: string | undefined;
}

/** RFC 6120 §4.9.3. */
const CONDITIONS: StatusTable<string> = {
  exact: {
    400: "bad-format",
    401: "not-authorized",
    404: "host-unknown",
    429: "resource-constraint",
    500: "internal-server-error",
    503: "resource-constraint",
  },
  refused: "policy-violation",
  failed: "remote-connection-failed",
};
const NAMESPACES = { client: "jabber:client", server: "jabber:server", component: "jabber:component:accept" } as const;
const STREAMS = "http://etherx.jabber.org/streams";
const ERRORS = "urn:ietf:params:xml:ns:xmpp-streams";

/** Refuses an XMPP stream: ours is opened, as it must be (RFC 6120 §4.9.1.2), and closed at once with an error. */
export function refuseXmpp(refusal: Refusal, { role, to }: RefusedStream): Uint8Array {
  const { status, redirect } = refusal;
  const seconds = secondsOf(refusal);
  const words = `${reasonOf(refusal)}${seconds === undefined ? "" : `; try again in ${seconds} s`}`;
  const condition =
    redirect === undefined
      ? `<${codeOf(CONDITIONS, status)} xmlns='${ERRORS}'/>`
      : `<see-other-host xmlns='${ERRORS}'>${escaped(redirect)}</see-other-host>`;
  const from = to === undefined ? "" : ` from='${escaped(to)}'`;
  return Buffer.from(
    `<?xml version='1.0'?><stream:stream${from} id='refused' version='1.0' xmlns='${NAMESPACES[role]}' xmlns:stream='${STREAMS}'>` +
      `<stream:error>${condition}<text xmlns='${ERRORS}' xml:lang='en'>${escaped(words)}</text></stream:error></stream:stream>`,
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&apos;",
  '"': "&quot;",
};

function escaped(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => ENTITIES[char] ?? "");
}
