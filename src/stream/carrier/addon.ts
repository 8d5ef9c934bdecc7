import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:process";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../errors.ts";

/** Says how the native part and this file talk; a binary of another number is refused. */
const CONTRACT = 6;

/** What one event says; see {@link EventField}. */
export const eventKinds = {
  /** A client's first bytes, or that there will be none: from now on JavaScript owns the session. */
  open: 1,
  /** The answer to `more`: JavaScript owns the session again. */
  head: 2,
  /** The client reset while JavaScript owned the session. */
  broke: 3,
  /** The peer accepted; the relay runs. */
  connected: 4,
  /** The peer did not accept; nothing was sent to it, and JavaScript owns the session again, with all its bytes. */
  failed: 5,
  /** The relay is over, both sockets are closed. */
  ended: 6,
  /** The answer to `recall`: JavaScript may take both sockets, or the relay goes on. */
  recalled: 7,
  /** Of a listener, not of a session: clients turned away, or `accept` failed. */
  trouble: 8,
} as const;

/** Places that an engine can have: a slot has 20 bits. */
export const MAX_SESSIONS: number = 2 ** 20;

/** Numbers per event. */
export const EVENT_FIELDS = 12;

/**
 * The numbers of one event, by position.
 * - `kind`, `session`, `slot`: always. `trouble` has the listener's number in the place of the session.
 * - `open`: `a` listener, `b` flags, `c` offset and `d` length of the bytes in the shared buffer, `e` when it was accepted, in
 *   milliseconds of the monotonic clock; `f` and `g` the client's IPv4 address as a number, and its port, `h` and `i` those that it
 *   connected to. An address of another kind is -1: {@link Engine.addresses} knows it.
 * - `head`: `b` flags, `c` and `d` as above: the bytes which are new since the last event.
 * - `connected`: `a` milliseconds that it took.
 * - `failed`: `a` errno, or 0 when the time was over.
 * - `ended`: `a` cause, `b` bytes from the client, `c` bytes to the client, `d` milliseconds from the start of the connect to the peer's first byte, -1 if none came.
 * - `recalled`: `a` 1, or 0 when it was not at rest; `b` bytes from the client, `c` bytes to the client, `d` 1 when the last ones were the peer's.
 * - `trouble`: `a` clients turned away, `b` failed accepts, `c` errno of the last one, since the last such event.
 */
export const eventField = {
  kind: 0,
  session: 1,
  slot: 2,
  a: 3,
  b: 4,
  c: 5,
  d: 6,
  e: 7,
  f: 8,
  g: 9,
  h: 10,
  i: 11,
} as const;

/** What is known of the client's end, in `open` and `head`. `timeout`: the time was over first. */
export const headFlags = { ended: 1, reset: 2, timeout: 4 } as const;

/** How a relay ended, and with which of them `kill` ends it. */
export const relayCauses = [
  "client_closed",
  "peer_closed",
  "client_reset",
  "peer_reset",
  "idle_timeout",
  "killed",
  "shutdown",
  "drained",
] as const;

/** How a port treats its clients: what may change while it is open. All times in milliseconds. */
export interface NativeRules {
  readonly noDelay: boolean;
  /** 0: no probes. */
  readonly keepAliveMs: number;
  /** False: sessions are opened at once, without a byte. */
  readonly waits: boolean;
  /** How long the first byte may take. */
  readonly firstByteMs: number;
  /** Most bytes read before JavaScript is asked. */
  readonly headBytes: number;
  /** Ports of one group count their sessions together; 0: this one for itself. */
  readonly group: number;
  /** Sessions at once; clients beyond are turned away. */
  readonly maxSessions: number;
}

/** A port of the engine. */
export interface NativeListen extends NativeRules {
  /** An IP address; or undefined, and `path` is that of a unix socket. */
  readonly host: string | undefined;
  readonly path: string | undefined;
  /** A socket that listens already, in the place of both. The engine takes a copy; the number stays its owner's to close. */
  readonly listenFd: number | undefined;
  readonly port: number;
  /** Clients that may wait to be accepted; 0: the address is taken, and nobody can connect before somebody listens there. */
  readonly backlog: number;
  readonly ipv6Only: boolean;
  /** SO_REUSEPORT: others of the same user may open the port too, and the kernel shares the clients out. Not for unix sockets. With `listenFd`, from now on. */
  readonly reusePort: boolean;
}

/** An open port of the engine. */
export interface NativeListening {
  readonly listener: number;
  readonly port: number;
  /** The listening socket, for whoever hands it down. It is the engine's to close. */
  readonly fd: number;
}

/** A client that has said nothing yet. */
export type NativeSilent = readonly [
  session: number,
  listener: number,
  /** In milliseconds of the monotonic clock. */
  acceptedMs: number,
  remoteHost: string,
  remotePort: number,
  /** Of a unix socket, `unix:` alone. */
  localHost: string,
  localPort: number,
];

/** Where a session goes, argument by argument: an object's properties would cost more than the system calls of a short session. */
export type NativeRelay = readonly [
  /** An IP address; or a path, when the port is -1. */
  host: string,
  port: number,
  connectTimeoutMs: number,
  idleTimeoutMs: number,
  /** So many of the client's first bytes have been consumed, and are not sent. */
  skip: number,
  localAddress: string | undefined,
  /** Sent in front of everything. */
  preface: Uint8Array | undefined,
];

/** What was the engine's. */
export interface HandedOver {
  readonly fd: number;
  readonly bytes: Uint8Array;
  /** See {@link headFlags}. */
  readonly flags: number;
  /** The other side of a relay that was recalled. */
  readonly peer?: number;
}

/** How one direction of a bucket fills: bytes per second, of which infinity is no limit; bytes that it holds; bytes put in now. */
export type NativeFilling = readonly [rate: number, burst: number, add: number];

/** A thread that accepts, reads first bytes, connects and relays. Misuse throws TypeError; a session that is gone answers false. */
export interface Engine {
  /** The system's way to wait for many sockets: `epoll` or `io_uring`. */
  readonly kind: EngineKind;
  /** Opens a port, or accepts at one that is open. @throws Error with the system's `code`; EINVAL: that does not listen */
  listen(options: NativeListen): NativeListening;
  /** Accepts no more for now. The port stays open, and its clients wait in the kernel's queue, or for whoever shares it. */
  pause(listener: number): boolean;
  resume(listener: number): boolean;
  /** Accepts no more there. What is in the kernel's queue is lost with the port, unless somebody else has the socket too. */
  unlisten(listener: number): boolean;
  /** Treats its clients by other rules from now on; those that are there keep theirs. The port stays open, and misses none. */
  adjust(listener: number, rules: NativeRules): boolean;
  /** Clients that have said nothing yet: no event has told of them. */
  silent(): NativeSilent[];
  /** Opens one of them, as if its time were over. */
  open(session: number): boolean;
  /** Opens all of them; for the stop of the process. */
  openSilent(): void;
  /** Moves events to the shared buffers, and says how many; 0: none is left. */
  take(): number;
  /**
   * Reads on until so many bytes of the head are there in all, the end, or the time is over. Answered by `head`, which never has
   * more bytes than the shared buffer holds: who still needs more asks again.
   */
  more(session: number, atLeast: number, timeoutMs: number): boolean;
  /** Connects, sends the preface and the unread head, and relays. Answered by `connected` or `failed`, then `ended`. */
  relay(session: number, ...to: NativeRelay): boolean;
  /**
   * Hands the socket over: its file descriptor, and the bytes that no event has told of; after `recalled`, that of the peer as well.
   * The engine never touches them again.
   */
  takeOver(session: number): HandedOver | undefined;
  /** Closes the client's socket of a session that JavaScript owns; `reset`: by RST. */
  close(session: number, reset: boolean): boolean;
  /** Ends a relay, a connect or a wait: `ended` follows, or `head` with the `reset` flag; `cause` is an index of {@link relayCauses}. */
  kill(session: number, cause: number): boolean;
  /**
   * Ends a relay gently: reads no more, sends what it has read, then the end, and closes when both sides have ended theirs, or it
   * takes too long. `ended` follows. A connect is broken off. A `kill` cuts it short.
   */
  drain(session: number): boolean;
  /**
   * Gives both sockets of a relay back for {@link takeOver}, if no byte has moved for `restMs`, none is held or readable, and neither
   * side has ended. Answered by `recalled`, or by `ended`. Until they are taken, `kill` and `drain` take the recall back.
   */
  recall(session: number, restMs: number): boolean;
  /** Bytes per second, from the client and to it; 0: no limit. */
  limit(session: number, up: number, down: number): boolean;
  /** Makes a bucket that sessions share, and tells its number. Nothing comes in before it is filled. @throws Error with ENOMEM */
  bucket(): number;
  /** Bytes from the client, then those to it. */
  fill(bucket: number, ...ways: readonly [...up: NativeFilling, ...down: NativeFilling]): boolean;
  /**
   * Puts five numbers for each direction into the first shared event: what has come in, what was taken or promised of it, the same
   * without what came back, how many wait, the rate.
   */
  levels(bucket: number): boolean;
  /** Takes bytes from the client that were moved otherwise. */
  pay(bucket: number, bytesUp: number): boolean;
  /** The session takes from it, too, once it is relayed; before that only. */
  share(session: number, bucket: number): boolean;
  /** Its number is another's from now on. Sessions that take from it still do. */
  drop(bucket: number): boolean;
  /** Puts bytes from the client, bytes to the client, and milliseconds since one moved into the first shared event. */
  counters(session: number): boolean;
  /** The client's address, and the one that it connected to: `[host, port, host, port]`. Known until `release`. */
  addresses(session: number): readonly [string, number, string, number] | undefined;
  /** Every session is released exactly once, when JavaScript has no question about it any more; its place is free then. */
  release(session: number): boolean;
  /** Sessions that are not released. */
  readonly sessions: number;
  /**
   * Ends the thread and closes every socket that is still the engine's. From then on `listen` throws, and all else answers that
   * there is nothing.
   */
  stop(): void;
}

/** The system's ways to wait for many sockets. */
const ENGINE_KINDS = ["epoll", "io_uring"] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];

/** The kind that a user asks for (`RESTYCONF_ENGINE`); undefined: none in particular. @throws TypeError for another word */
export function engineKindOf(word: string | undefined): EngineKind | undefined {
  if (word === undefined || word === "") return undefined;
  const kind = ENGINE_KINDS.find((known) => known === word);
  if (!kind) throw new TypeError(`RESTYCONF_ENGINE: expected ${ENGINE_KINDS.join(" or ")}, got ${word}`);
  return kind;
}

/** What an engine starts with. */
export interface EngineOptions {
  /** Places for sessions; no more are ever held. */
  readonly maxSessions: number;
  /** Shared: where `take` puts events, {@link EVENT_FIELDS} numbers each. */
  readonly events: Float64Array;
  /** Shared: where `take` puts bytes. */
  readonly bytes: Uint8Array;
  /** Called on the event loop when events wait. */
  readonly wake: () => void;
  /** Undefined: io_uring where the kernel has it and allows it, else epoll. */
  readonly engine?: EngineKind | undefined;
}

/** The native part. */
export interface Addon {
  readonly contract: number;
  /** @throws Error with the system's `code`, also where it lacks the wanted kind */
  start(options: EngineOptions): Engine;
  /** Opens a socket for others to accept at, which listens if it has a backlog, or copies one; its number is the caller's to close. @throws Error with the system's `code` */
  open(options: NativeListen): { readonly fd: number; readonly port: number };
}

/** The addon, or why it cannot be used here. */
export type Loaded = { readonly addon: Addon } | { readonly addon: undefined; readonly reason: string };

/** Loads the binary of this platform: compiled by the bootstrap in a clone, prebuilt in the package. */
export function loadAddon(): Loaded {
  const place = `prebuilds/${platform}-${arch}/carrier.node`;
  const path = fileURLToPath(new URL(`../../../${place}`, import.meta.url));
  if (!existsSync(path)) return { addon: undefined, reason: `there is no ${place}` };
  try {
    const addon: unknown = createRequire(import.meta.url)(path);
    if (isAddon(addon)) return { addon };
    return { addon: undefined, reason: "it was built for another version" };
  } catch (cause) {
    return { addon: undefined, reason: messageOf(cause).split("\n", 1)[0] ?? "" }; // behind it: who asked for it
  }
}

function isAddon(module: unknown): module is Addon {
  return typeof module === "object" && module !== null && "contract" in module && module.contract === CONTRACT;
}
