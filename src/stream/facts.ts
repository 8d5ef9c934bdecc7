import type { Address } from "../codecs/address.ts";
import type { ClientHello } from "../codecs/tls/client-hello.ts";
import { helloExtension } from "../codecs/tls/hello-extension.ts";
import type { EndCause } from "../errors.ts";
import type { Sniffer } from "../preread/sniffer.ts";
import type { Snowflake } from "../shared/snowflake.ts";
import type { Attempt } from "../upstream/lease.ts";
import type { SessionCtx, SessionSsl } from "../upstream/session-facts.ts";
import type { Action } from "./action.ts";
import { Client } from "./client.ts";
import type { Incoming } from "./incoming.ts";
import type { SessionLimits } from "./limits/session-limits.ts";
import type { Server } from "./server.ts";
import type { Phase } from "./session.ts";
import { sslOfHello } from "./session-ssl.ts";
import type { WorkerContext } from "./worker-context.ts";

const NONE: readonly Attempt[] = [];

/** Ids of sessions that come while there are no others: when the process began, then a count. */
const BEGAN = Date.now().toString(36);

/** A lease that was lost stops ids, but no sessions. */
function idOf(snowflake: Snowflake, number: number): string {
  try {
    return snowflake.next();
  } catch {
    return `${BEGAN}-${number}`;
  }
}

/** What is known of a session. Nearly all of it is made when it is asked for: most sessions are short. */
export class Facts {
  /** The server that accepted it. */
  readonly home: Server;
  /** The server that it is at: `dispatch` changes it. */
  settings: Server;
  phase: Phase = "preread";
  protocol: string | undefined;
  info: unknown;
  /** The one that matched, and told both; it knows how to refuse. */
  sniffer: Sniffer | undefined;
  ssl: SessionSsl | undefined;
  /** Only where its server has limits. */
  limits: SessionLimits | undefined;
  upstream: string | undefined;
  attempt = 0;
  lastFailure: string | undefined;
  /** Address of the peer that hooks are asked about. */
  connecting: string | undefined;
  status = 200;
  endCause: EndCause = "client_closed";
  /** The client's socket and bytes. */
  readonly client: Client;
  /** Counts the sessions of this process. */
  readonly number: number;
  readonly #incoming: Incoming;
  #attempts: Attempt[] | undefined;
  #id: string | undefined;
  #ctx: SessionCtx | undefined;
  #remote: Address | undefined;
  #local: Address | undefined;
  #hello: ClientHello | undefined;
  #action: Action | undefined;
  #isProxied = false;

  constructor(number: number, incoming: Incoming, settings: Server) {
    this.number = number;
    this.home = settings;
    this.settings = settings;
    this.#incoming = incoming;
    this.client = new Client(incoming, settings);
  }

  /** When, by `performance.now()`: limits of the first phase count from here, since a carrier may have waited for the first byte. */
  get acceptedAt(): number {
    return this.#incoming.acceptedAt;
  }

  get id(): string {
    this.#id ??= idOf(this.home.worker.snowflake, this.number);
    return this.#id;
  }

  get remote(): Address {
    return this.#remote ?? this.#incoming.remote;
  }

  get local(): Address {
    return this.#local ?? this.#incoming.local;
  }

  get ctx(): SessionCtx {
    this.#ctx ??= {};
    return this.#ctx;
  }

  /** What a hook assigns takes the place of all that was there. OpenResty: `ngx.ctx = {}`. */
  set ctx(ctx: SessionCtx) {
    if (typeof ctx !== "object" || ctx === null) throw new TypeError(`ctx: expected an object, got ${typeof ctx}`);
    this.#ctx = ctx;
  }

  get worker(): WorkerContext {
    return this.settings.worker;
  }

  get server(): string {
    return this.settings.name;
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts ?? NONE;
  }

  tried(attempt: Attempt): void {
    this.connecting = undefined;
    if (this.#attempts) this.#attempts.push(attempt);
    else this.#attempts = [attempt]; // exactly one place: nearly no session needs a second
  }

  /** The peer that is being secured, was connected, or was tried last. */
  get peer(): string | undefined {
    return this.connecting ?? this.attempts.at(-1)?.address;
  }

  /** Who has the client's socket at this moment. */
  get carrier(): "native" | "node" {
    return this.#incoming.carrier;
  }

  get hello(): ClientHello {
    if (!this.#hello) throw new TypeError("hello: only known where the client began TLS");
    return this.#hello;
  }

  set hello(hello: ClientHello) {
    this.#hello = hello;
    this.ssl = sslOfHello(hello);
  }

  helloExtension(type: number): Buffer | undefined {
    if (this.phase !== "sslClientHello" && this.phase !== "sslCertificate")
      throw new TypeError(`helloExtension: not available in the ${this.phase} phase`);
    return helloExtension(this.client.head.bytes, type);
  }

  get bytesReceived(): number {
    return this.client.received;
  }

  get bytesSent(): number {
    return this.client.sent;
  }

  /** What will happen, as far as it is decided. */
  get action(): Action {
    if (!this.#action) throw new TypeError("action: not decided yet");
    return this.#action;
  }

  /** Protocol and route are known. */
  get isDecided(): boolean {
    return this.#action !== undefined;
  }

  set action(action: Action) {
    this.#action = action;
    this.upstream = action.kind === "proxy" ? action.upstream : undefined;
  }

  /** What a PROXY header told: the client that the balancer in front of us saw. */
  cameThrough(header: { readonly source: Address | undefined; readonly destination: Address | undefined }): void {
    this.#remote = header.source;
    this.#local = header.destination;
    this.#isProxied = true;
  }

  get proxied(): { readonly remote: Address; readonly local: Address } | undefined {
    return this.#isProxied ? { remote: this.remote, local: this.local } : undefined;
  }

  /** Addresses are asked of the carrier while it knows them. */
  keepAddresses(): void {
    this.#remote = this.remote;
    this.#local = this.local;
  }
}
