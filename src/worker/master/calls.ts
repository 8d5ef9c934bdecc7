import type { WorkerFacts } from "../../registry/worker-entry.ts";
import type { DictHandle } from "../../shared/dict/open-dicts.ts";
import type { EventDelivery, EventMessage } from "../../shared/events/message.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import type { WorkerIds } from "../identity.ts";
import type { LiveSession } from "../live-session.ts";
import type { Ends } from "../sessions.ts";
import type { SentStartValues } from "../start-keys.ts";
import type { SocketName } from "./inherited-sockets.ts";

/** A configuration as the master has read it: every worker builds its generation from the same texts. */
export interface Source {
  /** Counts the configurations that the gateway has had, from 1. */
  readonly generation: number;
  /** Path of the configuration. */
  readonly path: string;
  /** Where its dictionaries are. */
  readonly dicts: Readonly<Record<string, DictHandle>>;
  /** 48 secret bytes, with which all workers resume each other's TLS sessions. */
  readonly ticketKeys: Uint8Array;
  /** What its files held, by path; modules as their bundles. */
  readonly files: Readonly<Record<string, string>>;
  /** What counts in place of what the files say of these keys. */
  readonly start: SentStartValues;
  /** Likewise for `links`: the files that they are in, often the same object. Undefined: there are none. */
  readonly links: Readonly<Record<string, string>> | undefined;
}

/** What a worker says of itself. */
export interface WorkerStatus {
  /** No two living workers of gateways on one Redis share it. */
  readonly id: number;
  readonly number: number;
  readonly masterId: number;
  readonly pid: number;
  readonly generation: number;
  readonly sessions: number;
  readonly startedAt: string;
  readonly carrier: "native" | "node";
  /** While a generation is tried out: how its sessions end, and the others'. */
  readonly canary: { readonly generation: number; readonly own: Ends; readonly others: Ends } | undefined;
  /** It does not answer: this is what it said last. */
  readonly isSilent?: true;
}

/** What the master asks of a worker, in its own process or in another. All may fail with what the worker says. */
export interface WorkerCalls {
  /** Builds a generation off to the side; `commit` makes it serve new sessions, `abandon` forgets it. All three name it by its number. */
  prepare(source: Source): Promise<void>;
  /** Whatever else was prepared is forgotten. */
  commit(generation: number): Promise<void>;
  /** Lets what was prepared serve a share of the new sessions, from 0 to 1, until `commit` or `abandon`. It takes the place of another one. */
  tryOut(generation: number, share: number): Promise<void>;
  /** Also while it is still being prepared: `prepare` fails then. */
  abandon(generation: number): Promise<void>;
  /** Accepts at sockets that were sent before. Fails when one of them has not arrived. */
  accept(sockets: readonly SocketName[]): Promise<void>;
  /** Accepts there no more: another process does. */
  leave(sockets: readonly SocketName[]): Promise<void>;
  /** Back to the generation before. False: that is another one, or there is none. */
  rollback(generation: number): Promise<boolean>;
  sessions(): Promise<readonly LiveSession[]>;
  kill(session: string): Promise<boolean>;
  /** The same for a session of any worker of any gateway. */
  kick(session: string): Promise<boolean>;
  /** For all gateways that share the registry; each of its workers knows them all. */
  ban(whom: string, options: BanOptions): Promise<Ban>;
  unban(whom: string): Promise<boolean>;
  bans(): Promise<readonly Ban[]>;
  /** What workers of all gateways have said of themselves in the registry. */
  registered(): Promise<readonly WorkerFacts[]>;
  status(): Promise<WorkerStatus>;
  /** Goes on in new log files. */
  reopen(): Promise<void>;
}

/** A call on its way to a worker. */
export type CallMessage = {
  readonly [Name in keyof WorkerCalls]: {
    readonly kind: "call";
    readonly id: number;
    readonly name: Name;
    readonly parameters: Parameters<WorkerCalls[Name]>;
  };
}[keyof WorkerCalls];

/** What a worker begins with. */
export interface StartMessage {
  readonly kind: "start";
  readonly source: Source;
  readonly ids: WorkerIds;
  /** Nobody else gets its numbers while it lives. Else its successor does, and it gives them up when it ends. */
  readonly hasLease: boolean;
  /** Where what survives the gateway is kept, if anywhere. */
  readonly stateDir: string | undefined;
}

/** What the master sends. */
export type ToWorker =
  | CallMessage
  /** The first message. */
  | StartMessage
  /** With a handle: a listening socket. */
  | ({ readonly kind: "socket" } & SocketName)
  /** The lease of its numbers was renewed, or another was had; or it was lost. */
  | { readonly kind: "held"; readonly masterId: number; readonly untilMs: number }
  | { readonly kind: "lost"; readonly why: string }
  /** Of other workers. */
  | { readonly kind: "events"; readonly delivery: EventDelivery }
  /** No answer: the process ends when it is done. */
  | CloseMessage;

/** How a worker is to end. */
export interface CloseMessage {
  readonly kind: "close";
  /** `quick` ends sessions at once, `drain` waits for their own end, or ends them over a time. */
  readonly how: "quick" | "drain";
  readonly overMs: number | undefined;
  /** The whole gateway ends: its number is not to be another worker's. */
  readonly isLast: boolean;
}

/** What a worker sends. */
export type ToMaster =
  /** It serves. */
  | { readonly kind: "ready" }
  /** It was told to end, by the master or by a signal: it accepts no more, and its numbers are free as far as they are not leased. */
  | { readonly kind: "closing" }
  /** Accepting there has failed for want of file descriptors, and it has closed its copy of the socket: it is to be sent again. */
  | ({ readonly kind: "again" } & SocketName)
  /** Code of a configuration that does not serve yet, or has only a share of the sessions, has thrown what nobody caught: the worker goes on. */
  | { readonly kind: "faulty"; readonly generation: number; readonly reason: Failure }
  /** It serves no new session, and ends when the others have: another one is to take its place. */
  | { readonly kind: "crashed" }
  /** It does not, and ends. */
  | { readonly kind: "failed"; readonly reason: Failure }
  /** For other workers. */
  | { readonly kind: "events"; readonly messages: readonly EventMessage[] }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly id: number; readonly reason: Failure };

/** An error on its way between processes. */
export interface Failure {
  readonly message: string;
  /** Of a ConfigError. */
  readonly lines?: readonly string[] | undefined;
}
