import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { type Bindings, findBindings, type Request, type SocketName, type TcpHandle } from "./bindings.ts";

/** A connected TCP socket without a `net.Socket` around it: no stream, no events, no timers. One owner at a time reads it. */
export class Wire {
  readonly handle: TcpHandle;
  /** Who takes what is read, while it is read chunk by chunk. */
  reader: WireReader | undefined;
  #state: "open" | "closing" | "closed" = "open";
  #listeners: (() => void)[] | undefined;
}
