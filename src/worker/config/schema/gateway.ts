import { formatEndpoint, parseEndpoint, plainEndpoint } from "../../../codecs/address.ts";
import type { Codec } from "../../../codecs/codec.ts";
import type { GatewayConfig, GatewayPhases } from "../../../gateway.ts";
import { masterIdsFor, maxMasterIdOf } from "../../../registry/master-ids.ts";
import { DEFAULT_MACHINE_BITS, MAX_MACHINE_BITS } from "../../../shared/snowflake.ts";
import { workersOf } from "../../master/workers-of.ts";
import { formatPath } from "../key-path.ts";
import { localAddress, peerAddress } from "./address.ts";
import { redisConfig } from "./redis.ts";
import {
  byName,
  checked,
  either,
  type Fault,
  isRecord,
  maybe,
  oneOf,
  type Schema,
  shape,
  text,
  together,
  whole,
} from "./schema.ts";
import { type ServerForms, serverSchema } from "./server.ts";
import { type UpstreamForms, upstreamSchema } from "./upstream.ts";

/** The parts that a configuration in code and one in data write differently. */
export interface Forms {
  readonly server: ServerForms;
  readonly upstream: UpstreamForms;
  readonly phases: Schema<GatewayPhases>;
}

/** More processes than any machine has cores: a slip. */
const MAX_WORKERS = 1_024;

const workers = either<number | "auto">((input) => (typeof input === "string" ? oneOf("auto") : whole(1, MAX_WORKERS)));

/** One gateway of ten workers must have room. */
const MIN_MACHINE_BITS = 4;

const size = text(`a size like "10m"`, (written) => /^[1-9]\d{0,14}[kmg]?$/i.test(written));

const access = checked(
  (value): value is string | false => value === false || (typeof value === "string" && value !== ""),
  '"stderr", a path or false',
);

const codec = checked(isCodec, "a codec with encode and decode");

const log = shape("{ access, level }", {
  access: maybe(access),
  level: maybe(oneOf("debug", "info", "warn", "error")),
});

/** A whole configuration. */
export function gatewaySchema({ server, upstream, phases }: Forms): Schema<GatewayConfig> {
  const parts = shape("an object with servers", {
    workers: maybe(workers),
    redis: maybe(redisConfig),
    registry: maybe(text("the path of a folder or JSON file")),
    masterId: maybe(whole(0, maxMasterIdOf(MAX_MACHINE_BITS))),
    machineBits: maybe(whole(MIN_MACHINE_BITS, MAX_MACHINE_BITS)),
    advertise: maybe(peerAddress),
    links: maybe(shape("{ codec }", { codec: maybe(codec) })),
    shared: maybe(byName(size, "an object of sizes by name")),
    upstreams: maybe(byName(upstreamSchema(upstream), "an object of upstreams by name")),
    servers: together(
      byName(serverSchema(server), "an object of servers by name, at least one", { min: 1 }),
      addressFaults,
    ),
    stateDir: maybe(text("the path of a folder")),
    admin: maybe(shape("{ listen }", { listen: localAddress })),
    log: maybe(log),
    phases: maybe(phases),
  });
  return together(parts, idFaults);
}

/** The ids of all workers must fit into their bits. */
function idFaults(config: unknown): readonly Fault[] {
  if (!isRecord(config)) return [];
  const { masterId = 0, machineBits = DEFAULT_MACHINE_BITS, workers = 1 } = config;
  if (typeof masterId !== "number" || typeof machineBits !== "number") return [];
  const count = workers === "auto" || typeof workers === "number" ? workersOf({ workers }) : 1;
  if (!(machineBits >= MIN_MACHINE_BITS && count <= MAX_WORKERS)) return []; // that is said already
  const last = maxMasterIdOf(machineBits) - masterIdsFor(count) + 1;
  if (masterId <= last) return [];
  const bits = `${machineBits} machineBits`;
  if (last >= 0) return [{ path: ["masterId"], text: `expected at most ${last} for workers ${count} and ${bits}` }];
  return [
    { path: ["workers"], text: `expected at most ${(last + masterIdsFor(count)) * 10} for ${bits}, got ${count}` },
  ];
}

function isCodec(value: unknown): value is Codec<unknown> {
  return isRecord(value) && typeof value["encode"] === "function" && typeof value["decode"] === "function";
}

/** A fixed address can be opened once. */
function addressFaults(servers: unknown): readonly Fault[] {
  const owners = new Map<string, string>();
  return listens(servers).flatMap(({ address, path }) => {
    const owner = owners.get(address);
    if (owner !== undefined) return [{ path, text: `${address} is taken by ${owner}` }];
    owners.set(address, formatPath(["servers", ...path]));
    return [];
  });
}

/** The fixed addresses of all servers, in one form each. */
function listens(servers: unknown): readonly { readonly address: string; readonly path: Fault["path"] }[] {
  if (!isRecord(servers)) return [];
  return Object.entries(servers).flatMap(([name, server]) => {
    const listen = isRecord(server) ? server["listen"] : undefined;
    const all: readonly unknown[] = Array.isArray(listen) ? listen : [listen];
    return all.flatMap((written, place) => {
      const address = typeof written === "string" ? fixedAddress(written) : undefined;
      const path: Fault["path"] = Array.isArray(listen) ? [name, "listen", place] : [name, "listen"];
      return address === undefined ? [] : [{ address, path }];
    });
  });
}

/** Undefined for port 0, which is another one each time. All ways to write an address are one. */
function fixedAddress(written: string): string | undefined {
  const endpoint = parseEndpoint(written);
  if (!endpoint || (endpoint.kind === "tcp" && endpoint.port === 0)) return undefined;
  return formatEndpoint(plainEndpoint(endpoint));
}
