// The job of every contestant: lanes. A lane is one listening port with rules about the first bytes; each rule leads to
// one port of the server behind. All contestants get the same lanes, on ports of their own.
import { clientHello, MQTT_CONNECT, nameOf, prefixOf, prefixOpening } from "./openings.mjs";

/** Routes in the lanes that compare sniffing; the client's is always the last. */
export const ROUTE_COUNTS = [1, 10, 50];

/**
 * @typedef {{ kind: "tls" } | { kind: "mqtt" } | { kind: "name", name: string } | { kind: "prefix", prefix: string }
 *   | { kind: "silent" }} Match
 * @typedef {{ match: Match, peer: number }} Rule
 * @typedef {{ name: string, rules: Rule[], terminates: boolean, opening: Buffer }} Lane
 * @typedef {{ args: string[], ports: Record<string, number> }} Peer how the server behind is started, and its ports
 */

/** How long a client of the lane `banner` says nothing before the server speaks. */
export const SILENT_MS = 300;

/** What the server behind does on a port of its own; server.c says what each means. */
const ROLES = ["reply", "echo", "sink", "source", "sum", "witness", "early", "reset"];

/**
 * Chooses the ports of the server behind.
 * @param {() => Promise<number>} port
 */
export async function makeLanes(port) {
  const hello = await clientHello(nameOf(0)); // all names have one length, and so have all hellos
  /** @type {Peer} */
  const peer = { args: [], ports: {} };
  const add = async (/** @type {string} */ name, /** @type {string} */ role, /** @type {number} */ opening) => {
    peer.ports[name] = await port();
    peer.args.push(`${role}:${peer.ports[name]}:${opening}`);
  };
  for (const role of ROLES) await add(role, role, MQTT_CONNECT.length);
  await add("banner", "banner", 0);
  await add("tell", "tell", 0); // no lane: the gate asks it directly
  await add("hello", "reply", hello.length);
  peer.ports.refused = await port(); // nobody listens there
  return { peer, lanes: await lanesTo(peer.ports) };
}

/**
 * @param {Record<string, number>} ports
 * @returns {Promise<Lane[]>}
 */
async function lanesTo(ports) {
  const mqtt = (/** @type {string} */ name, /** @type {string} */ to, terminates = false) => ({
    name,
    terminates,
    opening: MQTT_CONNECT,
    // Inside TLS there is no second TLS to look for.
    rules: [...(terminates ? [] : [rule({ kind: "tls" }, ports.hello)]), rule({ kind: "mqtt" }, ports[to])],
  });
  const silent = { name: "banner", terminates: false, opening: Buffer.alloc(0) };
  return [
    ...[...ROLES, "refused"].map((role) => mqtt(role, role)),
    { ...silent, rules: [rule({ kind: "silent" }, ports.banner)] },
    ...["reply", "echo", "sink", "source"].map((role) => mqtt(`tls-${role}`, role, true)),
    ...(await Promise.all(ROUTE_COUNTS.map((count) => namesLane(count, ports.hello)))),
    ...ROUTE_COUNTS.map((count) => prefixLane(count, ports.reply)),
  ];
}

/**
 * @param {number} count
 * @param {number} peer
 */
async function namesLane(count, peer) {
  const rules = indexes(count).map((index) => rule({ kind: "name", name: nameOf(index) }, peer));
  return { name: `names-${count}`, terminates: false, rules, opening: await clientHello(nameOf(count - 1)) };
}

/**
 * @param {number} count
 * @param {number} peer
 */
function prefixLane(count, peer) {
  const rules = indexes(count).map((index) => rule({ kind: "prefix", prefix: prefixOf(index) }, peer));
  return { name: `prefixes-${count}`, terminates: false, rules, opening: prefixOpening(count - 1) };
}

/** @param {Match} match @param {number} peer @returns {Rule} */
function rule(match, peer) {
  return { match, peer };
}

/** @param {number} count */
function indexes(count) {
  return Array.from({ length: count }, (_, index) => index);
}
