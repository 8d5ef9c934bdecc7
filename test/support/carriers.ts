import type { Endpoint } from "../../src/codecs/address.ts";
import { ssh } from "../../src/preread/ssh.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { WorkerEvents } from "../../src/shared/events/events.ts";
import { localTransport } from "../../src/shared/events/local-transport.ts";
import { EventRelay } from "../../src/shared/events/relay.ts";
import { Snowflake } from "../../src/shared/snowflake.ts";
import { timer } from "../../src/shared/timer.ts";
import { sharedTools } from "../../src/shared/tools.ts";
import { content } from "../../src/stream/action.ts";
import { engineKindOf, loadAddon } from "../../src/stream/carrier/addon.ts";
import { Carrier } from "../../src/stream/carrier/carrier.ts";
import { NativePort } from "../../src/stream/carrier/native-port.ts";
import { compileRoutes } from "../../src/stream/choose-route.ts";
import { Listener } from "../../src/stream/listener.ts";
import type { Log } from "../../src/stream/log.ts";
import type { PortOptions } from "../../src/stream/port.ts";
import { on, otherwise, silent } from "../../src/stream/route.ts";
import type { Server } from "../../src/stream/server.ts";
import { compileVars } from "../../src/stream/vars.ts";
import type { ListenOptions, TestedCarrier } from "../laws/carrier/bench.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, access() {} };
const MAX_SESSIONS = 2_000;

/** The carrier of Node's own sockets. */
export function nodeCarrier(): TestedCarrier {
  return {
    listen: (endpoint, options) => Listener.open(endpoint, portOptions(options)),
    sessions: () => 0, // it keeps no places
    stop() {},
  };
}

/** The native carrier; its binary is made by `node scripts/carrier.mjs`. */
export function nativeCarrier(): TestedCarrier {
  const loaded = loadAddon();
  if (!loaded.addon) throw new Error(`run node scripts/carrier.mjs: ${loaded.reason}`);
  const carrier = new Carrier(loaded.addon, MAX_SESSIONS, engineKindOf(process.env["RESTYCONF_ENGINE"]));
  return {
    listen: (endpoint, options) => NativePort.open(carrier, endpoint, server(endpoint, options), portOptions(options)),
    sessions: () => carrier.engine.sessions,
    stop: () => carrier.stop(),
  };
}

function portOptions({ hasRoom, onIncoming }: ListenOptions): PortOptions {
  return { noDelay: true, ipv6Only: false, keepAliveMs: 60_000, log: quiet, hasRoom, onIncoming };
}

const EVENTS = new WorkerEvents({ transport: localTransport(new EventRelay(), 0), number: 0 });
const NO_LINKS = { send: () => ({ err: "no such server" }) as const, broadcast: () => 0, onMessage: () => () => {} };
const NO_BANS = {
  add: () => Promise.reject(new Error("nobody can be banned here")),
  remove: async () => false,
  list: () => [],
};
const NO_SESSIONS = {
  kick: async () => ({ err: "no such session" }),
  push: async () => ({ err: "no such session" }),
  broadcast: async () => ({ sessions: 0, refused: 0, silent: 0 }),
};
const NEVER = new AbortController().signal;

/** With a route that looks at bytes, clients are known from their first one on. */
function server(endpoint: Endpoint, { waits }: ListenOptions): Server {
  const action = content(() => {});
  return {
    name: "laws",
    generation: 1,
    listen: [endpoint],
    proxyHeader: undefined,
    ssl: undefined,
    preread: { maxBytes: 16_384, timeoutMs: 10_000 },
    routes: compileRoutes(waits ? [on(ssh(), action), otherwise(action)] : [silent(0, action)]),
    upstreams: new Map(),
    idleTimeoutMs: 60_000,
    noDelay: true,
    keepAliveMs: 60_000,
    maxConns: undefined,
    phases: {},
    phaseLimitsMs: new Map(),
    makeVars: compileVars({}, quiet),
    servers: new Map(),
    log: quiet,
    worker: {
      id: 0,
      number: 0,
      masterId: 0,
      registry: memoryRegistry(),
      links: NO_LINKS,
      bans: NO_BANS,
      sessions: NO_SESSIONS,
      ...sharedTools({}, { events: EVENTS, isAlone: true }),
      events: EVENTS,
      snowflake: new Snowflake({ machineId: 0 }),
      shared: {},
      generation: 1,
      timer,
      isReplaced: false,
      signal: NEVER,
    },
  };
}
