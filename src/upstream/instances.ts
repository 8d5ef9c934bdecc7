import { FollowedKeys, type FollowedKeysOptions, type KeySource } from "./followed-keys.ts";

/** The two methods of a registry that following a service needs. */
export type PeerSource = KeySource;

/** How the instances of one service are followed. */
export interface InstancesOptions<Instance> extends Pick<FollowedKeysOptions<Instance>, "source" | "read" | "warn"> {
  readonly service: string;
  /** Called with the whole list at first, and whenever it changed: in the order of keys, so that all workers see the same. */
  readonly onInstances: (instances: readonly Instance[]) => void;
}

/** More instances than any service has; more of them are a fault of whoever registers. */
const MAX_INSTANCES = 4_096;

/** What the keys of one service in the registry are under. */
export function serviceKeys(service: string): string {
  return `service:${service}:`;
}

/** Follows one service in the registry. While the registry is away those known last stay. */
export class Instances<Instance> {
  readonly #keys: FollowedKeys<Instance>;

  constructor({ service, onInstances, ...options }: InstancesOptions<Instance>) {
    this.#keys = new FollowedKeys({
      ...options,
      prefix: serviceKeys(service),
      max: { keys: MAX_INSTANCES, what: "instances" },
      onChange: () => {
        const instances = [...this.#keys.items()].sort(([one], [other]) => (one < other ? -1 : 1));
        onInstances(instances.map(([, instance]) => instance));
      },
    });
  }

  /** Resolves when the registry has answered for the first time, or has failed to. */
  get ready(): Promise<void> {
    return this.#keys.ready;
  }

  close(): Promise<void> {
    return this.#keys.close();
  }
}
