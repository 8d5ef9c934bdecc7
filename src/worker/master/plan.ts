import type { GatewayConfig } from "../../gateway.ts";
import { type Dicts, openDicts } from "../../shared/dict/open-dicts.ts";
import { ticketKeysNow } from "../../ssl/context.ts";
import { dictSizesOf } from "../dict-sizes.ts";
import { endpointsOf } from "../generation.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import { type WantedPort, wantedPorts } from "../ports.ts";
import { sentStartValuesOf } from "../start-keys.ts";
import type { Source } from "./calls.ts";
import { workersOf } from "./workers-of.ts";

/** A configuration with what the master itself needs of it. */
export interface Plan {
  readonly config: GatewayConfig;
  readonly source: Source;
  /** Kept for as long as the plan: workers attach to them. */
  readonly dicts: Dicts;
  readonly wanted: readonly WantedPort[];
  readonly workers: number;
}

/** `keep`: dictionaries that it has in common with what serves. */
export function planOf(gateway: LoadedGateway, generation: number, keep?: Dicts): Plan {
  const { config, loaded, snapshot } = gateway;
  const dicts = openDicts(dictSizesOf(config), { isShared: true, keep });
  const files = Object.fromEntries(snapshot);
  const links = gateway.links === snapshot ? files : gateway.links && Object.fromEntries(gateway.links);
  const start = sentStartValuesOf(config);
  const source = {
    generation,
    path: loaded.path,
    files,
    start,
    links,
    dicts: dicts.handles,
    ticketKeys: ticketKeysNow(),
  };
  return { config, source, dicts, wanted: wantedPorts(serversOf(config)), workers: workersOf(config) };
}

function serversOf(config: GatewayConfig): Parameters<typeof wantedPorts>[0] {
  return Object.entries(config.servers).map(([name, { listen }]) => ({ name, listen: endpointsOf(listen) }));
}
