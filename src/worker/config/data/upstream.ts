import type { Balancer } from "../../../upstream/balancer.ts";
import { type RegistryPeers, registry } from "../../../upstream/discovery.ts";
import { hash } from "../../../upstream/hash.ts";
import { leastConn } from "../../../upstream/least-conn.ts";
import { randomTwo } from "../../../upstream/random-two.ts";
import { roundRobin } from "../../../upstream/round-robin.ts";
import type { SessionFacts } from "../../../upstream/session-facts.ts";
import { checked, either, isRecord, made, oneOf, type Schema, shape, text } from "../schema/schema.ts";

import { WHAT_PEERS } from "../schema/upstream.ts";

type Key = (session: SessionFacts) => string | undefined;

/** What `{ hash: … }` may name, in nginx's words. */
const VARIABLES: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["remote_addr", ({ remote }) => remote.host],
  ["remote_port", ({ remote }) => String(remote.port)],
  ["server_addr", ({ local }) => local.host],
  ["server_port", ({ local }) => String(local.port)],
  ["server", ({ server }) => server],
  ["protocol", ({ protocol }) => protocol],
  ["ssl_server_name", ({ ssl }) => ssl?.serverName],
  ["ssl_alpn", ({ ssl }) => ssl?.alpn],
  ["ssl_ja4", ({ ssl }) => ssl?.ja4],
]);

const INFO = "info.";

/** The function that computes the key of a session: a variable, or a path into what its sniffer learned. */
function keyOf(variable: string): Key | undefined {
  if (!variable.startsWith(INFO)) return VARIABLES.get(variable);
  const path = variable.slice(INFO.length).split(".");
  return path.includes("") ? undefined : ({ info }) => textAt(info, path);
}

/** Only what the sniffer itself put there: a path such as `constructor.name` finds nothing. */
function textAt(info: unknown, path: readonly string[]): string | undefined {
  let value = info;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return isPlain ? String(value) : undefined;
}

const balancers: Readonly<Record<"round-robin" | "least-conn" | "random-two", () => Balancer>> = {
  "round-robin": roundRobin,
  "least-conn": leastConn,
  "random-two": randomTwo,
};

const named = made(oneOf("round-robin", "least-conn", "random-two"), (name) => balancers[name]());

const variable = text(
  `a variable (${[...VARIABLES.keys()].join(", ")}, or info. and a path, like info.clientId)`,
  (name) => keyOf(name) !== undefined,
);

const hashed = made(shape("{ hash }", { hash: variable }), (written) => hash(keyOf(written.hash) ?? (() => undefined)));

const unknown: Schema<never> = checked(
  (_): _ is never => false,
  `"round-robin", "least-conn", "random-two" or { hash: "remote_addr" }`,
);

/** A balancer as data: `"least-conn"`, or `{ hash: "remote_addr" }`. */
export const balancerData: Schema<Balancer> = either<Balancer>((input) => {
  if (typeof input === "string") return named;
  return isRecord(input) ? hashed : unknown;
});

/** Peers from the registry, as data: `{ registry: "game" }`. */
export const registryData: Schema<RegistryPeers> = made(
  shape(WHAT_PEERS, { registry: text("the name of a service") }),
  (written) => registry(written.registry),
);
