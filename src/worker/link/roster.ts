import type { Registry } from "../../registry/registry.ts";
import { Instances, serviceKeys } from "../../upstream/instances.ts";
import { type GameServer, readGameServer } from "./game-server.ts";

/** What a roster works with. */
export interface RosterOptions {
  readonly registry: Pick<Registry, "list" | "watch">;
  readonly service: string;
  /** Called with the whole list when the registry was read, and whenever it changed. */
  readonly onServers: (servers: readonly GameServer[]) => void;
  readonly warn: (message: string) => void;
}

/** Follows the game servers of one service that want a link. */
export function roster({ registry, service, onServers, warn }: RosterOptions): Instances<GameServer> {
  const prefix = serviceKeys(service);
  return new Instances({
    source: registry,
    service,
    read: (key, value) => {
      const read = readGameServer({ service, instance: key.slice(prefix.length) }, value);
      if (typeof read !== "string") return read;
      warn(`no link to ${key}: ${read}`);
      return undefined;
    },
    onInstances: onServers,
    warn,
  });
}
