import type { Socket } from "node:net";
import type { GatewayError } from "../../../src/errors.ts";
import { type BodyFilter, stagesOf } from "../../../src/stream/filter/body-filter.ts";
import { FilterRelay } from "../../../src/stream/filter/filter-relay.ts";
import { Inlet } from "../../../src/stream/inlet.ts";
import type { RelayCause } from "../../../src/stream/relay.ts";
import type { FilterSession } from "../../../src/stream/session.ts";
import { socketPair } from "../../support/sockets.ts";

/** How a relay ended. */
export interface RelayEnd {
  readonly cause: RelayCause;
  readonly error: GatewayError | undefined;
}

/** A relay with these filters between two sockets. The session has no more than what filters act with. */
export function relayWith(
  client: Socket,
  peer: Socket,
  filter: BodyFilter,
  { idleTimeoutMs = 60_000, limitMs }: { readonly idleTimeoutMs?: number; readonly limitMs?: number } = {},
): { readonly relay: FilterRelay; readonly ended: Promise<RelayEnd> } {
  const relay = new FilterRelay(new Inlet(client), new Inlet(peer), {
    idleTimeoutMs,
    filters: (control) => {
      const session = {
        inject: (side: "client" | "upstream", bytes: string | Uint8Array) => control.inject(side, bytes),
        end: () => control.finish(),
      } as FilterSession;
      return { ...stagesOf(filter, session), limitMs };
    },
  });
  return { relay, ended: new Promise((resolve) => relay.onEnd((cause, error) => resolve({ cause, error }))) };
}

/** The same over real connections: what a client and a peer see. */
export async function benchWith(filter: BodyFilter, options?: Parameters<typeof relayWith>[3]) {
  const [left, right] = await Promise.all([socketPair(), socketPair()]);
  const sockets = [left.near, left.far, right.near, right.far];
  return {
    ...relayWith(left.near, right.near, filter, options),
    client: left.far,
    peer: right.far,
    unread: () => left.near.readableLength,
    held: () => left.near.writableLength + right.near.writableLength,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
