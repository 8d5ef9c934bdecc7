import type { Codec } from "../codecs/codec.ts";
import { GatewayError } from "../errors.ts";
import { Delimiter } from "./delimiter.ts";
import type { Head } from "./incoming.ts";

/**
 * Why a read gave no data, in OpenResty's words. After `closed` and `connection reset by peer` nothing more comes; `closed` is
 * `client aborted` in sessions that have called `onAbort`.
 */
export type ReadError =
  | "closed"
  | "client aborted"
  | "timeout"
  | "aborted"
  | "connection reset by peer"
  | "socket busy reading"
  | "buffer full"
  | "line too long"
  | "pattern is empty";

/** A read without data; `partial` is what had come until then. */
export interface ReadFailure {
  readonly data?: undefined;
  readonly err: ReadError;
  readonly partial: Buffer;
}

/** What a read answers: data, or an error word with the bytes that had come. */
export type Received = { readonly data: Buffer; readonly err?: undefined; readonly partial?: undefined } | ReadFailure;

/** The end of a run of chunks: neither data nor error. */
export interface RunEnd {
  readonly data?: undefined;
  readonly err?: undefined;
  readonly partial?: undefined;
}

/** Reads up to a delimiter; with a size in chunks of about that many bytes, then once `{}`, then anew. */
export interface UntilIterator {
  (): Promise<Received>;
  (size: number): Promise<Received | RunEnd>;
}

/** What {@link Reader.receiveFrame} answers. */
export type ReceivedFrame<T> =
  | { readonly value: T; readonly err?: undefined; readonly partial?: undefined }
  | (ReadFailure & { readonly value?: undefined });

/** Bounds of one read. */
export interface ReadLimits {
  /** Most bytes held for it. Default 1,048,576. */
  readonly maxBytes?: number;
  /** Total time: the idle timeout alone lets a slow sender go on for ever. Default: none. */
  readonly deadlineMs?: number;
  /** Gives the read up: it answers `aborted`, no byte is lost, and somebody else may read at once. */
  readonly signal?: AbortSignal | undefined;
}

/** How one read waits. */
interface Waiting {
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The idle timeout does not hold. */
  readonly isPatient?: boolean;
}

export interface UntilOptions extends ReadLimits {
  /** Gives the delimiter as the end of the data. Default false: it is dropped. */
  readonly inclusive?: boolean;
}

export interface PeekOptions {
  /** Is content with what is there, at least one byte. */
  readonly orLess?: boolean;
  /** Total time, instead of the reader's idle timeout. */
  readonly timeoutMs?: number;
  /** Gives it up: `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** Waits for the next bytes; the error word when none came. */
type Wait = () => Promise<ReadError | undefined>;

/** One `receiveUntil`, from call to call. */
interface Run {
  readonly delimiter: Delimiter;
  readonly options: UntilOptions;
  ended: boolean;
}

const EMPTY = Buffer.alloc(0);
const LF = 0x0a;
const CR = 0x0d;
const READ_TIMEOUT_MS = 60_000; // OpenResty: lua_socket_read_timeout
const MAX_TIMEOUT_MS = 2 ** 31; // the first that OpenResty refuses
const MAX_BYTES = 1_048_576; // a line or frame that never ends must not become a memory leak

export interface ReaderOptions {
  /** Most bytes that can be peeked at. */
  readonly peekBytes: number;
  /** When reads without a time of their own have to end (`performance.now()`): the preread limit, while it holds. */
  readonly limit?: () => number | undefined;
  /** What reads answer once the other side has ended. */
  readonly endWord?: () => "closed" | "client aborted";
  /** Told how each peek ended: the error word, or undefined for data. */
  readonly onPeek?: (err: ReadError | undefined) => void;
}

/**
 * Reads a client's bytes as OpenResty's request socket does (`ngx.req.socket`): lines, sizes, delimiters, all, any.
 * One read at a time. A timeout is no end: later reads go on behind the bytes that were handed out.
 */
export class Reader {
  readonly #head: Head;
  readonly #peekBytes: number;
  readonly #limit: () => number | undefined;
  readonly #endWord: () => "closed" | "client aborted";
  readonly #onPeek: (err: ReadError | undefined) => void;
  #timeoutMs = READ_TIMEOUT_MS;
  #isTimeoutSet = false;
  /** The read that is under way. */
  #current: object | undefined;
  /** How a read has told that the connection ended. */
  #told: "closed" | "connection reset by peer" | undefined;

  constructor(head: Head, options: ReaderOptions) {
    this.#head = head;
    this.#peekBytes = options.peekBytes;
    this.#limit = options.limit ?? (() => undefined);
    this.#endWord = options.endWord ?? (() => "closed");
    this.#onPeek = options.onPeek ?? (() => {});
  }

  /** Longest wait for the next byte, for reads from now on; 0 stands for the default, 60,000. OpenResty: `settimeout`. */
  setTimeout(ms: number): void {
    if (typeof ms !== "number" || !(ms >= 0 && ms < MAX_TIMEOUT_MS)) throw new TypeError(`bad timeout value: ${ms}`);
    this.#timeoutMs = ms === 0 ? READ_TIMEOUT_MS : ms;
    this.#isTimeoutSet = true;
  }

  /** A line (`*l`, without LF and any CR), all until the end (`*a`), or exactly so many bytes. OpenResty: `receive`. */
  async receive(pattern: "*l" | "*a" | number | `${number}` = "*l", limits: ReadLimits = {}): Promise<Received> {
    const { maxBytes = MAX_BYTES } = limits;
    if (pattern === "*l") return this.#alone((wait) => this.#line(maxBytes, wait), limits);
    if (pattern === "*a") return this.#alone((wait) => this.#all(maxBytes, wait), limits);
    const size = sizeOf(pattern);
    return this.#alone((wait) => this.#exactly(size, maxBytes, wait), limits);
  }

  /** What is there: at least one byte, at most `max`. OpenResty: `receiveany`. */
  async receiveAny(max: number, limits: Omit<ReadLimits, "maxBytes"> = {}): Promise<Received> {
    if (!Number.isInteger(max) || max <= 0) throw new TypeError(`bad max argument: ${max}`);
    return this.#alone(async (wait) => {
      const err = this.#head.size > 0 ? undefined : await wait();
      return err ? this.#fail(err) : { data: this.#take(Math.min(max, this.#head.size)) };
    }, limits);
  }

  /** Makes an iterator that reads up to a delimiter, which is consumed too. OpenResty: `receiveuntil`. */
  receiveUntil(delimiter: string | Uint8Array, options: UntilOptions = {}): UntilIterator {
    const { inclusive = false } = options;
    if (typeof inclusive !== "boolean") throw new TypeError(`bad "inclusive" option value type: ${typeof inclusive}`);
    const run = { delimiter: new Delimiter(Buffer.from(delimiter)), options, ended: false };
    const read = (size: number): Promise<Received | RunEnd> => this.#next(run, size);
    function next(): Promise<Received>;
    function next(size: number): Promise<Received | RunEnd>;
    function next(size = 0): Promise<Received | RunEnd> {
      return read(size);
    }
    return next;
  }

  /** The first unread bytes without consuming them: exactly `size`, or an error with those that came. OpenResty: `peek`. */
  async peek(size: number, options: PeekOptions = {}): Promise<Received> {
    if (!Number.isInteger(size) || size < 0) throw new TypeError(`bad size argument: ${size}`);
    const { orLess = false, timeoutMs, signal } = options;
    const enough = orLess ? Math.min(size, 1) : size;
    if (this.#head.size >= enough && enough <= this.#peekBytes && !this.#isBusy) {
      this.#onPeek(undefined);
      return { data: this.#glance(Math.min(size, this.#peekBytes)) }; // what nearly every peek finds
    }
    const peeked = await this.#alone(
      async (wait) => {
        const err = await this.#enough(enough, wait);
        if (err) return { err: this.#word(err), partial: this.#glance(this.#peekBytes) };
        return { data: this.#glance(Math.min(size, this.#peekBytes)) };
      },
      { deadlineMs: timeoutMs, isPatient: timeoutMs !== undefined, signal },
    );
    this.#onPeek(peeked.err);
    return peeked;
  }

  /**
   * One frame of a codec. After `timeout` and `buffer full` its bytes stay unread, and the frame may still be received.
   * @throws GatewayError RC_FRAME when the bytes are no frame, RC_FRAME_TOO_LARGE when it is above the codec's limit
   */
  receiveFrame<T>(codec: Codec<T>, limits: ReadLimits = {}): Promise<ReceivedFrame<T>> {
    const { maxBytes = MAX_BYTES } = limits;
    const received = this.#alone((wait) => this.#frame(codec, maxBytes, wait), limits);
    received.catch(() => {}); // bytes that are no frame must not end the process where an `await` was forgotten
    return received;
  }

  /** Waits until so many bytes are there to be looked at. */
  async #enough(size: number, wait: Wait): Promise<ReadError | undefined> {
    if (size > this.#peekBytes) return "buffer full";
    while (this.#head.size < size) {
      const err = await wait();
      if (err) return err;
    }
    return undefined;
  }

  async #line(maxBytes: number, wait: Wait): Promise<Received> {
    for (let seen = 0; ; ) {
      const line = this.#head.bytes.subarray(0, maxBytes + 1);
      const end = line.indexOf(LF, seen);
      if (end !== -1) return { data: withoutCr(this.#take(end + 1).subarray(0, end)) };
      if (line.length > maxBytes) return withoutCrInPartial(this.#fail("line too long", maxBytes));
      seen = line.length;
      const err = await wait();
      if (err) return withoutCrInPartial(this.#fail(err));
    }
  }

  async #all(maxBytes: number, wait: Wait): Promise<Received> {
    for (;;) {
      if (this.#head.size > maxBytes) return this.#fail("buffer full", maxBytes);
      const err = await wait();
      if (err === "closed" && this.#told !== "connection reset by peer") return { data: this.#take(this.#head.size) };
      if (err) return this.#fail(err);
    }
  }

  async #exactly(size: number, maxBytes: number, wait: Wait): Promise<Received> {
    if (this.#told) return this.#fail("closed"); // also when no byte is asked for
    if (size > maxBytes) return this.#fail("buffer full", 0);
    while (this.#head.size < size) {
      const err = await wait();
      if (err) return this.#fail(err);
    }
    return { data: this.#take(size) };
  }

  async #next(run: Run, size: number): Promise<Received | RunEnd> {
    if (typeof size !== "number" || Number.isNaN(size)) throw new TypeError(`bad size argument: ${size}`);
    if (run.delimiter.bytes.length === 0) return { err: "pattern is empty", partial: EMPTY };
    const inChunks = size > 0;
    return this.#alone<Received | RunEnd>(async (wait) => {
      if (!run.ended) return this.#until(run, inChunks ? size : Number.POSITIVE_INFINITY, wait);
      run.ended = false;
      return inChunks ? {} : { data: EMPTY }; // the rest of this run
    }, run.options);
  }

  /**
   * Bytes that may be the delimiter's beginning stay unread until that is decided: the search of the next call finds
   * them again, and any other read does not lose them.
   */
  async #until(run: Run, chunk: number, wait: Wait): Promise<Received> {
    const { inclusive = false, maxBytes = MAX_BYTES } = run.options;
    const search = { at: 0, matched: 0, rest: chunk };
    for (;;) {
      const state = run.delimiter.advance(this.#head.bytes, search);
      const before = search.at - search.matched;
      if (before > maxBytes && chunk === Number.POSITIVE_INFINITY) return this.#fail("buffer full", maxBytes);
      if (state === "full") return { data: this.#take(before) };
      if (state === "found") {
        run.ended = chunk !== Number.POSITIVE_INFINITY;
        return { data: this.#take(search.at).subarray(0, inclusive ? search.at : before) };
      }
      const err = await wait();
      if (err) return this.#fail(err, err === "timeout" ? before : undefined);
    }
  }

  async #frame<T>(codec: Codec<T>, maxBytes: number, wait: Wait): Promise<ReceivedFrame<T>> {
    const begun = codec.begin?.(this) ?? codec; // looks at bytes that trickle in once, and knows what earlier frames have told
    for (;;) {
      const decoded = begun.decode(this.#head.bytes);
      if (decoded.kind === "malformed") {
        throw new GatewayError(
          decoded.tooLarge ? "RC_FRAME_TOO_LARGE" : "RC_FRAME",
          `${codec.name}: ${decoded.reason}`,
        );
      }
      const size = decoded.kind === "frame" ? decoded.size : decoded.atLeast;
      if (size > maxBytes) return { err: "buffer full", partial: this.#glance(maxBytes) };
      if (decoded.kind === "frame") {
        this.#head.consume(size);
        return { value: decoded.value };
      }
      do {
        const err = await wait();
        if (err === "timeout" || err === "aborted") return { err, partial: this.#glance(size) };
        if (err) return this.#fail(err);
      } while (this.#head.size < size); // waits at least once, whatever a codec asks for
    }
  }

  /** Runs one read with nobody else reading, within its total time and the idle timeout. */
  async #alone<Result>(
    read: (wait: Wait) => Promise<Result>,
    { deadlineMs, signal, isPatient = false }: Waiting,
  ): Promise<Result | (ReadFailure & { value?: undefined })> {
    if (this.#isBusy) return { err: "socket busy reading", partial: EMPTY };
    if (signal?.aborted) return { err: "aborted", partial: EMPTY };
    const current = {};
    this.#current = current;
    const betweenMs = isPatient ? Number.POSITIVE_INFINITY : this.#timeoutMs;
    const endsAt = deadlineMs === undefined ? this.#endsAt() : performance.now() + deadlineMs;
    const giveUp = (): void => this.#giveUp(current);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      return await read(() => this.#wait(betweenMs, endsAt, signal));
    } finally {
      signal?.removeEventListener("abort", giveUp);
      if (this.#current === current) this.#current = undefined;
    }
  }

  /** The place is free at once, as that of a killed thread is. */
  #giveUp(current: object): void {
    if (this.#current !== current) return;
    this.#current = undefined;
    this.#head.giveUp();
  }

  get #isBusy(): boolean {
    return this.#current !== undefined || this.#head.busy;
  }

  /** The end of the preread limit, for reads whose time nobody has set. */
  #endsAt(): number {
    return (this.#isTimeoutSet ? undefined : this.#limit()) ?? Number.POSITIVE_INFINITY;
  }

  async #wait(betweenMs: number, endsAt: number, signal?: AbortSignal): Promise<ReadError | undefined> {
    if (signal?.aborted) return "aborted";
    if (this.#told) return "closed";
    const growth = await this.#head.grow(this.#head.size + 1, Math.min(performance.now() + betweenMs, endsAt));
    if (signal?.aborted) return "aborted";
    if (growth === "enough") return undefined;
    if (growth === "timeout") return "timeout";
    return growth === "reset" ? "connection reset by peer" : "closed";
  }

  /** Gives up on a read and hands out the bytes that it had; those of a read that was given up are the next reader's. */
  #fail(err: ReadError, size = this.#head.size): ReadFailure {
    if (err === "aborted") return { err, partial: EMPTY };
    if (err === "closed" || err === "connection reset by peer") this.#told ??= err;
    return { err: this.#word(err), partial: this.#take(size) };
  }

  /** As users hear it. */
  #word(err: ReadError): ReadError {
    return err === "closed" ? this.#endWord() : err;
  }

  /** Consumes. The copy is the caller's for good, and does not hold on to the much larger buffer that it came in. */
  #take(size: number): Buffer {
    return Buffer.from(this.#head.consume(size));
  }

  /** Does not consume. */
  #glance(size: number): Buffer {
    const { bytes } = this.#head;
    const copy = Buffer.allocUnsafe(Math.min(size, bytes.length));
    bytes.copy(copy);
    return copy;
  }
}

/** The size in `receive(size)`; OpenResty takes numeric text as well. */
function sizeOf(pattern: unknown): number {
  const size = typeof pattern === "string" && /^-?\d+$/.test(pattern) ? Number(pattern) : pattern;
  if (typeof size !== "number" || !Number.isInteger(size))
    throw new TypeError(`bad pattern argument: ${String(pattern)}`);
  if (size < 0) throw new TypeError(`bad size argument: ${size}`);
  return size;
}

/** Drops every CR, wherever it stands, as OpenResty does. */
function withoutCr(line: Buffer): Buffer {
  const first = line.indexOf(CR);
  if (first === -1) return line;
  return first === line.length - 1 ? line.subarray(0, first) : Buffer.from(line.filter((byte) => byte !== CR));
}

function withoutCrInPartial({ err, partial }: ReadFailure): ReadFailure {
  return { err, partial: withoutCr(partial) };
}
