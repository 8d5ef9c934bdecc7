import type { Writable } from "node:stream";
import { GatewayError } from "../errors.ts";
import { Deadline } from "./deadline.ts";

/** Writes of hooks and content handlers: each resolves when its bytes are with the kernel, and a client that takes none is let go. */
export class Outlet {
  readonly #patience: Deadline;

  /** `idleTimeoutMs`: how long one write may stall. nginx: `proxy_timeout`, OpenResty: `lua_socket_send_timeout`. */
  constructor(idleTimeoutMs: number) {
    this.#patience = new Deadline(idleTimeoutMs);
  }

  /** @throws GatewayError RC_CLIENT_RESET, RC_IDLE_TIMEOUT */
  write(stream: Writable, bytes: string | Uint8Array): Promise<void> {
    this.#patience.rearm();
    return new Promise((resolve, reject) => {
      this.#patience.onExpire = () => {
        reject(new GatewayError("RC_IDLE_TIMEOUT", "the client does not read"));
        stream.destroy();
      };
      stream.write(bytes, (cause) => {
        this.#patience.onExpire = undefined;
        if (cause) reject(new GatewayError("RC_CLIENT_RESET", "while writing", { cause }));
        else resolve();
      });
    });
  }

  stop(): void {
    this.#patience.stop();
  }
}
