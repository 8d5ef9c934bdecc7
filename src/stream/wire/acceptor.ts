import type { Server } from "node:net";
import type { TcpHandle } from "./bindings.ts";
import type { Wire } from "./wire.ts";
import type { Wires } from "./wires.ts";

/** What a server's handle calls for each accepted client, or with the system's error. */
type OnConnection = (this: unknown, error: number, client?: TcpHandle) => void;

/** What accepted clients get at once. */
export interface WireOptions {
  readonly noDelay: boolean;
  /** 0 turns keepalive off. */
  readonly keepAliveMs: number;
}

/**
 * Takes the clients of a listening TCP server before Node makes sockets of them. Errors go where they always go.
 * False where this Node.js does not show how: then the server goes on as it is.
 */
export function acceptWires(
  server: Server,
  wires: Wires,
  options: () => WireOptions,
  onWire: (wire: Wire) => void,
): boolean {
  const handle: unknown = Reflect.get(server, "_handle");
  if (!isListening(handle)) return false;
  const before = handle.onconnection;
  handle.onconnection = (error, client) => {
    if (error !== 0 || !client) return before.call(handle, error, client);
    const { noDelay, keepAliveMs } = options();
    if (noDelay) client.setNoDelay(true);
    onWire(wires.adopt(client, keepAliveMs));
  };
  return true;
}

function isListening(handle: unknown): handle is { onconnection: OnConnection } {
  return (
    typeof handle === "object" &&
    handle !== null &&
    "onconnection" in handle &&
    typeof handle.onconnection === "function"
  );
}
