import { refuseTls } from "../codecs/refusal/tls.ts";
import { type ClientHello, decodeClientHello, VERSION_NAMES } from "../codecs/tls/client-hello.ts";
import { type ClientHelloOffer, encodeClientHello } from "../codecs/tls/client-hello-encode.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, type Sniffer } from "./sniffer.ts";

/** What a TLS client must say for a route to take it; all given ones must hold. */
export interface TlsConditions {
  /** Compared without regard to case. A client that sends no name never fulfils it. */
  readonly serverName?: Condition;
  /** Fulfilled when any protocol that the client offers fulfils it. */
  readonly alpn?: Condition;
  /** `TLSv1.3`, `TLSv1.2`, …: fulfilled when any version that the client offers fulfils it. */
  readonly version?: Condition;
  readonly ja3?: Condition;
  readonly ja4?: Condition;
}

type Test = (hello: ClientHello) => boolean;

/** The ClientHello in a client's first bytes, decoded once for all who ask about the same bytes: routes, and the handshake. */
export const helloOf: typeof decodeClientHello = perBytes(decodeClientHello);

/** TLS: the client speaks first with a ClientHello (RFC 8446 §4.1.2). In a route it means passthrough, by name without the key. */
export function tls(conditions: TlsConditions = {}): Sniffer<"tls", ClientHello> {
  const tests = testsOf(conditions);
  const sniff: Sniffer<"tls", ClientHello>["sniff"] = (head) => {
    const hello = helloOf(head);
    if (hello.kind === "more") return hello;
    if (hello.kind === "malformed") return mismatch;
    return tests.every((test) => test(hello.value)) ? match(hello.value) : mismatch;
  };
  // No hello can be made for a RegExp, a function or a fingerprint: such an example may miss, and is left out.
  const examples = offersFor(conditions).map(encodeClientHello);
  return { name: "tls", sniff, refuse: refuseTls, examples: examples.filter((bytes) => sniff(bytes).kind === "match") };
}

function testsOf({ serverName, alpn, version, ja3, ja4 }: TlsConditions): Test[] {
  const tests: Test[] = [];
  if (serverName !== undefined) tests.push(on(ignoringCase(serverName), (hello) => [hello.serverName]));
  if (alpn !== undefined) tests.push(on(alpn, (hello) => hello.alpn));
  if (version !== undefined) tests.push(on(checkedVersion(version), (hello) => hello.versions));
  if (ja3 !== undefined) tests.push(on(ja3, (hello) => [hello.ja3]));
  if (ja4 !== undefined) tests.push(on(ja4, (hello) => [hello.ja4]));
  return tests;
}

/** A version that nobody offers would make a route that never matches. */
function checkedVersion(version: Condition): Condition {
  const names = [...VERSION_NAMES.values()];
  if (typeof version !== "string" || version.includes("*") || names.includes(version)) return version;
  throw new TypeError(`tls: expected a version (${names.join(", ")}), got ${JSON.stringify(version)}`);
}

/** Fulfilled when any of the values is. */
function on(condition: Condition, values: (hello: ClientHello) => readonly (string | undefined)[]): Test {
  const isFulfilled = fulfils(condition);
  return (hello) => values(hello).some(isFulfilled);
}

/** Host names are compared without case (RFC 6066 §3), and the hello's is lower-case already. */
function ignoringCase(condition: Condition): Condition {
  if (typeof condition === "string") return condition.toLowerCase();
  if (condition instanceof RegExp && !condition.ignoreCase) return new RegExp(condition, `${condition.flags}i`);
  return condition;
}

/** A client that says no more than the conditions ask for, and one that says all. */
function offersFor({ serverName, alpn, version }: TlsConditions): ClientHelloOffer[] {
  const versions = version === undefined ? {} : { versions: [exampleOf(version, "TLSv1.3")] };
  const name = { serverName: exampleOf(serverName, "example.com") };
  const protocols = { alpn: [exampleOf(alpn, "h2")] };
  return [
    { ...(serverName === undefined ? {} : name), ...(alpn === undefined ? {} : protocols), ...versions },
    { ...name, ...protocols, ...versions },
  ];
}
