import type { Codec } from "../../codecs/codec.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Log } from "../../stream/log.ts";
import type { Bans } from "../../stream/worker-context.ts";
import type { Instances } from "../../upstream/instances.ts";
import { Resolver } from "../../upstream/resolve.ts";
import { ban, unban } from "./ban-request.ts";
import { linkDial } from "./dial-link.ts";
import type { Announcement, Answer, Heard, Request, RequestId } from "./frame.ts";
import type { GameServer } from "./game-server.ts";
import { LIMITS, type LinkLimits, type LinkTiming, TIMING } from "./limits.ts";
import { Link, type LinkCounts, type LinkParts, type LinkState } from "./link.ts";
import { linkCodec } from "./link-codec.ts";
import type { LinkSessions } from "./link-sessions.ts";
import { type MessageHandler, Messages } from "./messages.ts";
import { done, perform, refusal } from "./requests.ts";
import { roster } from "./roster.ts";

/** What links work with. */
export interface LinksOptions {
  readonly registry: Pick<Registry, "list" | "watch">;
  /** What this worker says of itself, asked for each hello: a lease that was lost may come back with another number. Undefined: there was none yet. */
  readonly announce: () => Announcement | undefined;
  /** The sessions that game servers may reach. */
  readonly sessions: LinkSessions;
  /** Those whom game servers ban. */
  readonly bans: Pick<Bans, "add" | "remove">;
  readonly log: Log;
  /** Frames in another form, all of their bytes. Default: four bytes of length and msgpack. */
  readonly codec?: Codec<unknown> | undefined;
  readonly resolver?: Resolver | undefined;
  readonly timing?: Partial<LinkTiming> | undefined;
  readonly limits?: Partial<LinkLimits> | undefined;
}

/** Whether a message left. `queue full`: the server is too slow, and this message is lost. */
export type Sent =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "no such server" | "not connected" | "queue full" | "too large" };

/** A link as an operator sees it. */
export interface LinkStatus extends LinkCounts {
  /** Where it connects to. */
  readonly link: string;
  /** Those in the registry that are behind it; mostly one. */
  readonly servers: readonly GameServer[];
  readonly state: LinkState;
}

/** One link, and whom it leads to. */
interface Entry {
  readonly link: Link;
  servers: readonly [GameServer, ...GameServer[]];
}

/** The links of one worker: one to each game server that the registry names, whatever happens to either side. */
export class Links {
  readonly #options: LinksOptions;
  readonly #parts: LinkParts;
  readonly #messages: Messages;
  readonly #rosters = new Map<string, Instances<GameServer>>();
  /** What each service consists of, by its name. */
  readonly #known = new Map<string, readonly GameServer[]>();
  /** By the address that is connected to: two instances may share a link. */
  readonly #entries = new Map<string, Entry>();
  /** By the address where sessions go. */
  readonly #byAddress = new Map<string, Entry>();
  readonly #closing = new Set<Promise<void>>();
  #state: "open" | "draining" | "stopped" = "open";

  constructor(options: LinksOptions) {
    const limits = { ...LIMITS, ...options.limits };
    const timing = { ...TIMING, ...options.timing };
    this.#options = options;
    this.#messages = new Messages(limits, options.log);
    this.#parts = {
      dial: linkDial(options.resolver ?? new Resolver(), timing.connectMs),
      announce: options.announce,
      codec: options.codec ?? linkCodec(limits.frameBytes),
      timing,
      limits,
      log: options.log,
      onOpen: (link) => void (this.#state === "draining" && link.send({ type: "drain" })),
      onFrame: (heard, link, sizeBytes) => this.#onFrame(heard, link, sizeBytes),
    };
  }

  /** Keeps links to the game servers of these services and no others. Called again after each reload. */
  follow(services: Iterable<string>): void {
    if (this.#state === "stopped") return;
    const wanted = new Set(services);
    for (const [service, roster] of this.#rosters) {
      if (wanted.has(service)) continue;
      this.#rosters.delete(service);
      this.#known.delete(service);
      this.#track(roster.close());
    }
    for (const service of wanted) if (!this.#rosters.has(service)) this.#rosters.set(service, this.#roster(service));
    this.#reconcile();
  }

  /**
   * Sends a message to the game server at `address`, which is the `session.peer` of its sessions. Nothing waits for one that is
   * not connected. Any phase. @throws TypeError for what the codec cannot say
   */
  send(address: string, data: unknown): Sent {
    const entry = this.#byAddress.get(address);
    if (!entry) return { err: "no such server" };
    const sending = entry.link.sendMessage(data);
    if (sending === "sent") return { ok: true };
    return { err: sending === "closed" ? "not connected" : sending };
  }

  /** Sends it to all that are connected, or those of one service; answers how many got it. Any phase. @throws as `send` */
  broadcast(data: unknown, { service }: { readonly service?: string } = {}): number {
    let count = 0;
    for (const { link, servers } of this.#entries.values()) {
      const isMeant = service === undefined || servers.some((server) => server.service === service);
      if (isMeant && link.sendMessage(data) === "sent") count++;
    }
    return count;
  }

  /** Calls with each message of a game server, until what it returns is called, or the signal aborts. Best in `initWorker`. */
  onMessage(handler: MessageHandler, { signal }: { readonly signal?: AbortSignal } = {}): () => void {
    return this.#messages.listen(handler, signal);
  }

  /** How all links are. */
  list(): LinkStatus[] {
    return Array.from(this.#entries, ([address, { link, servers }]) => ({
      link: address,
      servers,
      state: link.state,
      ...link.counts,
    }));
  }

  /** Tells all game servers anew who this worker is: its numbers have changed. */
  announce(): void {
    for (const { link } of this.#entries.values()) link.announce();
  }

  /** Tells all game servers that this worker takes no more sessions. The links stay, until the last session has left. */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    for (const { link } of this.#entries.values()) link.send({ type: "drain" });
  }

  /** Says goodbye to all. Resolves when nothing is left open, within {@link LinkTiming.goodbyeMs}. */
  async stop(reason = "shutdown"): Promise<void> {
    this.#state = "stopped";
    for (const roster of this.#rosters.values()) this.#track(roster.close());
    for (const { link } of this.#entries.values()) this.#track(link.close(reason));
    this.#rosters.clear();
    this.#entries.clear();
    this.#byAddress.clear();
    await Promise.all(this.#closing);
  }

  #roster(service: string): Instances<GameServer> {
    return roster({
      registry: this.#options.registry,
      service,
      onServers: (servers) => {
        if (!this.#rosters.has(service)) return;
        this.#known.set(service, servers);
        this.#reconcile();
      },
      warn: (message) => this.#options.log.warn(message),
    });
  }

  /** Makes the links those that are wanted. */
  #reconcile(): void {
    const wanted = new Map<string, [GameServer, ...GameServer[]]>();
    for (const server of [...this.#known.values()].flat()) {
      const servers = wanted.get(server.link);
      if (servers) servers.push(server);
      else wanted.set(server.link, [server]);
    }
    for (const [address, { link }] of this.#entries) {
      if (wanted.has(address)) continue;
      this.#entries.delete(address);
      this.#track(link.close("not in the registry"));
    }
    this.#byAddress.clear();
    for (const [address, servers] of wanted) {
      const entry = this.#entries.get(address) ?? { link: new Link(address, this.#parts), servers };
      entry.servers = servers;
      this.#entries.set(address, entry);
      for (const server of servers)
        if (!this.#byAddress.has(server.address)) this.#byAddress.set(server.address, entry);
    }
  }

  #onFrame(heard: Heard, link: Link, sizeBytes: number): Promise<void> | undefined {
    switch (heard.kind) {
      case "push":
      case "kick":
      case "broadcast":
      case "sessions":
      case "ban":
      case "unban":
        return this.#perform(heard, link);
      case "message":
        this.#answer(link, heard.id, this.#take(heard, link, sizeBytes));
        return undefined;
      case "refused":
        this.#options.log.debug("refused by a game server", { link: link.address, reason: heard.reason });
        return undefined;
      case "wrong":
        this.#answer(link, heard.id, refusal(heard.id, heard.reason));
        return undefined;
      default:
        return undefined; // nothing hangs on a pong, nor on a second welcome
    }
  }

  /** A message is done when a hook has it, or will have it. */
  #take({ id, data }: Extract<Heard, { readonly kind: "message" }>, link: Link, sizeBytes: number): Answer | undefined {
    const from = this.#entries.get(link.address)?.servers[0];
    const taking = from ? this.#messages.take(link, { data, from, sizeBytes }) : "nobody listens";
    return taking === "taken" ? done(id) : refusal(id, taking);
  }

  /** Answers before the next request of the same server is looked at. */
  #perform(request: Request, link: Link): Promise<void> | undefined {
    const answer = this.#done(request);
    if (answer instanceof Promise) return answer.then((later) => this.#answer(link, request.id, later));
    this.#answer(link, request.id, answer);
    return undefined;
  }

  #done(request: Request): Answer | undefined | Promise<Answer | undefined> {
    const { sessions, bans } = this.#options;
    switch (request.kind) {
      case "ban":
        return ban(request, sessions, bans);
      case "unban":
        return unban(request, bans);
      default:
        return perform(request, sessions);
    }
  }

  #answer(link: Link, id: RequestId | undefined, answer: Answer | undefined): void {
    if (!answer || link.send(answer) !== "too large") return;
    link.send(refusal(id, "the answer is too large"));
  }

  #track(closing: Promise<void>): void {
    const tracked = closing.finally(() => this.#closing.delete(tracked));
    this.#closing.add(tracked);
  }
}
