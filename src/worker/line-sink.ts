import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

/** A way to standard error of our own: the inherited one may block, and setting it otherwise would hit the parent, too. */
const STDERR_PATH = "/proc/self/fd/2";
const STDERR = 2;

/** Access logs hold addresses of people: not for everybody. */
const FILE_MODE = 0o640;

/** What is kept for a reader that is slow. Beyond it lines are lost, and counted. */
const MAX_QUEUED_CHARS = 4 * 1024 * 1024;

/** So many bytes go into a pipe whole or not at all: `PIPE_BUF` of Linux, POSIX promises an eighth of it. A unix socket does the same. */
const PIPE_BYTES = 4_096;

/** How soon a full pipe is tried again. */
const RETRY_MS = 50;

/** So often a last flush tries a full pipe, {@link RETRY_MS} apart: half a second, then the process may end. */
const LAST_TRIES = 10;

/**
 * Writes lines to standard error or a file, in order, together once per turn of the event loop. It never waits for a reader
 * and never throws on a full disk or a broken pipe: what cannot be written is dropped, and the next line that can says how much.
 * Several processes may write to one pipe: no line of up to 4 KiB has another one inside.
 */
export class LineSink {
  readonly #path: string | undefined;
  #fd: number;
  #isFile: boolean;
  #queue: string[] = [];
  /** So many of the queue have been written. */
  #taken = 0;
  #queuedChars = 0;
  /** Of the write that a full pipe cut short. */
  #rest: Buffer | undefined;
  #lost = 0;
  #turn: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;

  /** Without a path: standard error. @throws when the file cannot be opened */
  constructor(path?: string) {
    this.#path = path;
    this.#fd = path === undefined ? openStderr() : openFile(path);
    this.#isFile = fstatSync(this.#fd).isFile();
  }

  /** Takes a line with its line end. */
  write(line: string): void {
    if (this.#queuedChars + line.length > MAX_QUEUED_CHARS) {
      this.#lost++;
      return;
    }
    this.#queue.push(line);
    this.#queuedChars += line.length;
    if (!this.#retry) this.#turn ??= setImmediate(() => this.#drain());
  }

  /** Writes what is there now; for the end of the process, so a full pipe gets a little time and no more. */
  flush(): void {
    for (let tries = 0; tries < LAST_TRIES && !this.#drain(); tries++) pause(RETRY_MS);
  }

  /** Opens the file anew, after it was renamed. @throws when it cannot be opened; the old one then stays */
  reopen(): void {
    if (this.#path === undefined) return;
    const fresh = openFile(this.#path);
    this.#drain(); // the lines before belong to the old file
    closeSync(this.#fd);
    this.#fd = fresh;
    this.#isFile = fstatSync(fresh).isFile();
  }

  close(): void {
    this.flush();
    this.#stopTimers();
    if (this.#fd !== STDERR) closeSync(this.#fd);
  }

  /** Writes as much as goes; true when nothing is left. */
  #drain(): boolean {
    this.#stopTimers();
    if (this.#lost > 0 && this.#queue.length > 0) this.#confess();
    while (this.#rest || this.#queue.length > 0) {
      const bytes = this.#rest ?? this.#take();
      try {
        const written = writeSync(this.#fd, bytes);
        this.#rest = written < bytes.length ? bytes.subarray(written) : undefined;
      } catch (cause) {
        if (isFull(cause)) {
          this.#rest = bytes;
          this.#retry = setTimeout(() => this.#drain(), RETRY_MS).unref();
          return false;
        }
        this.#rest = undefined;
        this.#lost += countLines(bytes);
      }
    }
    return true;
  }

  /** All lines for a file; for a pipe so many as go in at once. */
  #take(): Buffer {
    const begin = this.#taken;
    for (let size = 0; this.#taken < this.#queue.length; this.#taken++) {
      const line = this.#queue[this.#taken] ?? "";
      size += this.#isFile ? 0 : Buffer.byteLength(line);
      if (size > PIPE_BYTES && this.#taken > begin) break;
      this.#queuedChars -= line.length;
    }
    const text = this.#queue.slice(begin, this.#taken).join("");
    this.#queue.fill("", begin, this.#taken); // where a reader is slow for ever, the queue is never empty
    if (this.#taken > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#taken);
      this.#taken = 0;
    }
    return Buffer.from(text);
  }

  #confess(): void {
    const fields = { level: "warn", time: new Date().toISOString(), msg: "log lines lost", lines: this.#lost };
    this.#lost = 0;
    const line = `${JSON.stringify(fields)}\n`;
    this.#queuedChars += line.length;
    this.#queue.splice(this.#taken, 0, line);
  }

  #stopTimers(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#retry);
    this.#turn = this.#retry = undefined;
  }
}

/**
 * A file never blocks, and is shared as it is: opened anew it would have a position of its own, and with `> log 2>&1` the lines
 * of standard output would overwrite ours. A socket (of systemd's journal, or of a parent in Node) cannot be opened that way, and other systems have no such path.
 * Then Node's own stream is used, and made non-blocking once more: children that were started meanwhile and inherited it
 * (the bundler is one) have made it blocking for us as well.
 */
function openStderr(): number {
  if (fstatSync(STDERR).isFile()) return STDERR;
  try {
    return openSync(STDERR_PATH, O_WRONLY | O_APPEND | O_NONBLOCK);
  } catch {
    const handle: unknown = Reflect.get(process.stderr, "_handle");
    if (isBlockable(handle)) handle.setBlocking(false);
    return STDERR;
  }
}

/** The one method needed of Node's handle below a stream. */
interface BlockableHandle {
  setBlocking(on: boolean): unknown;
}

function isBlockable(handle: unknown): handle is BlockableHandle {
  return (
    typeof handle === "object" && handle !== null && "setBlocking" in handle && typeof handle.setBlocking === "function"
  );
}

/** Non-blocking, so that a named pipe without reader is an error and not a halt. */
function openFile(path: string): number {
  return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE);
}

function isFull(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "EAGAIN";
}

function countLines(bytes: Buffer): number {
  return bytes.toString("latin1").split("\n").length - 1;
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
