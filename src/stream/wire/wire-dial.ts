import { isIP } from "node:net";
import { getSystemErrorName } from "node:util";
import { type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { GatewayError } from "../../errors.ts";
import { abortError, type Life } from "../../upstream/abort.ts";
import { connectFailure } from "../../upstream/connect-failure.ts";
import { KEEP_ALIVE_MS } from "../../upstream/dial.ts";
import type { PeerEndpoint } from "../../upstream/peer-endpoint.ts";
import type { Wire } from "./wire.ts";

/** An IP address and port. */
export type WireTarget = Extract<Endpoint, { kind: "tcp" }>;

/** Where a wire can go: to an IP address, in clear text, from an address that the system chooses. */
export function wireTarget({ endpoint, ssl, localAddress }: PeerEndpoint): WireTarget | undefined {
  if (ssl || localAddress !== undefined || endpoint.kind !== "tcp" || isIP(endpoint.host) === 0) return undefined;
  return endpoint;
}

/**
 * Connects once, as `dial` does, for a client that is a wire. Breaks off when that one leaves.
 * @throws GatewayError RC_PEER_CONNECT, RC_PEER_CONNECT_TIMEOUT, or why the life ended.
 */
export function dialWire(client: Wire, to: WireTarget, options: WireDialOptions): Promise<Wire> {
  const { life } = options;
  if (life.isOver) return Promise.reject(abortError(life.signal));
  return new Promise((resolve, reject) => new WireDial(client, to, { ...options, resolve, reject }).begin());
}

export interface WireDialOptions {
  readonly timeoutMs: number;
  readonly life: Life;
}

interface Outcome extends WireDialOptions {
  readonly resolve: (wire: Wire) => void;
  readonly reject: (failure: GatewayError) => void;
}

class WireDial {
  readonly #client: Wire;
  readonly #to: WireTarget;
  readonly #outcome: Outcome;
  #wire: Wire | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: Wire, to: WireTarget, outcome: Outcome) {
    this.#client = client;
    this.#to = to;
    this.#outcome = outcome;
  }

  begin(): void {
    const { host, port } = this.#to;
    const { wire, error } = this.#client.wires.connect({ host, port, keepAliveMs: KEEP_ALIVE_MS }, this.#onConnect);
    this.#wire = wire;
    wire.read(); // together with the connect it costs the kernel one request; bytes come when the relay is there
    this.#client.onLeft = this.#onClientLeft;
    this.#timer = setTimeout(this.#onLate, this.#outcome.timeoutMs);
    if (error !== 0) this.#onConnect(error);
  }

  readonly #onConnect = (status: number): void => {
    const wire = this.#wire;
    if (!wire?.isOpen) return; // given up
    if (status === 0) this.#connected(wire);
    else this.#fail(connectFailure(formatEndpoint(this.#to), getSystemErrorName(status)));
  };

  readonly #onLate = (): void => this.#fail(new GatewayError("RC_PEER_CONNECT_TIMEOUT", formatEndpoint(this.#to)));

  readonly #onClientLeft = (): void => {
    const { life } = this.#outcome;
    this.#fail(
      life.isOver ? abortError(life.signal) : new GatewayError("RC_CLIENT_RESET", "while connecting to the peer"),
    );
  };

  #connected(wire: Wire): void {
    this.#settle();
    wire.handle.setNoDelay(true);
    this.#outcome.resolve(wire);
  }

  #fail(failure: GatewayError): void {
    this.#settle();
    this.#wire?.close();
    this.#outcome.reject(failure);
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.#client.onLeft = undefined;
  }
}
