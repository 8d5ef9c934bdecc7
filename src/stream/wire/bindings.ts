import process from "node:process";

/** What `getpeername` and `getsockname` fill in. */
export interface SocketName {
  address?: string;
  port?: number;
}

/** Node's own object around a TCP socket, below `net.Socket`: calls go straight to libuv, and answer 0 or the system's error. */
export interface TcpHandle {
  /** Hears of each read. What it returns, if anything, is the buffer of the next one. */
  onread: (chunk?: ArrayBuffer) => Uint8Array | undefined;
  readStart(): number;
  readStop(): number;
  /** From now on bytes are read to there, and `onread` is called without a chunk. Cannot be taken back. */
  useUserBuffer(buffer: Uint8Array): void;
  writeBuffer(request: object | null, bytes: Uint8Array): number | object;
  shutdown(request: object): number;
  connect(request: object, host: string, port: number): number;
  connect6(request: object, host: string, port: number): number;
  setNoDelay(on: boolean): number;
  setKeepAlive(on: boolean, delayS: number): number;
  getpeername(out: SocketName): number;
  getsockname(out: SocketName): number;
  close(listener: () => void): void;
  /** Closes with a reset. Must not be called while an end is on its way. */
  reset(listener: () => void): number;
}

/** A request to libuv that is answered later. */
export interface Request {
  oncomplete?: (status: number) => void;
  /** Keeps what is written from being collected. */
  bytes?: Uint8Array;
  /** Node 26: the answer, where it came before anybody listened. */
  writeStatus?: number | null;
}

/** What of Node's internals is used. Undocumented: hence the shape is looked at, a round trip is tried, and `net.Socket` is there where either fails. */
export interface Bindings {
  readonly Tcp: new (kind: number) => TcpHandle;
  readonly ConnectRequest: new () => Request;
  readonly WriteRequest: new () => Request;
  readonly ShutdownRequest: new () => Request;
  /** Numbers that the last read or write left behind. */
  readonly state: { readonly [index: number]: number };
  /** Where in `state`: bytes read or the error; the offset in the chunk; whether the write goes on; its error, in Node 26. */
  readonly at: {
    readonly read: number;
    readonly offset: number;
    readonly isAsync: number;
    readonly error: number | undefined;
  };
}

/** Node.js versions whose internals were tried. What an unknown one does with them could end the process. */
const KNOWN_MAJORS: ReadonlySet<number> = new Set([20, 22, 24, 26]);

/** Kind of a TCP handle that is no server. */
export const SOCKET = 0;

const METHODS = ["readStart", "readStop", "useUserBuffer", "writeBuffer", "shutdown", "connect", "connect6"] as const;
const MORE_METHODS = ["setNoDelay", "setKeepAlive", "getpeername", "getsockname", "close", "reset"] as const;

/** Where internals are looked for. */
export interface Surroundings {
  /** `streams` does without them. */
  readonly io: string | undefined;
  readonly version: string;
  readonly platform: string;
}

/** Node's internals, where they look as expected. */
export function findBindings({ io, version, platform }: Surroundings = surroundings()): Bindings | undefined {
  // Elsewhere nobody has tried what a handle says of a connection that was reset.
  if (io === "streams" || platform !== "linux" || !KNOWN_MAJORS.has(Number.parseInt(version, 10))) return undefined;
  try {
    return quietly(() => bindingsOf(internal("tcp_wrap"), internal("stream_wrap")));
  } catch {
    return undefined; // `process.binding` is gone, or refuses: a permission, a policy
  }
}

function surroundings(): Surroundings {
  return { io: process.env["RESTYCONF_NODE_IO"], version: process.versions.node, platform: process.platform };
}

/** `process.binding` is deprecated (DEP0111). We know, and do without where it is gone: no operator is told, or stopped by `--throw-deprecation`. */
function quietly<Result>(work: () => Result): Result {
  const { noDeprecation = false } = process;
  process.noDeprecation = true;
  try {
    return work();
  } finally {
    process.noDeprecation = noDeprecation;
  }
}

function internal(name: string): object {
  const binding: unknown = Reflect.get(process, "binding");
  const found: unknown = typeof binding === "function" ? Reflect.apply(binding, process, [name]) : undefined;
  return typeof found === "object" && found !== null ? found : {};
}

function bindingsOf(tcp: object, stream: object): Bindings | undefined {
  const error: unknown = Reflect.get(stream, "kLastWriteErr");
  const found: { [Key in keyof Bindings]: unknown } = {
    Tcp: Reflect.get(tcp, "TCP"),
    ConnectRequest: Reflect.get(tcp, "TCPConnectWrap"),
    WriteRequest: Reflect.get(stream, "WriteWrap"),
    ShutdownRequest: Reflect.get(stream, "ShutdownWrap"),
    state: Reflect.get(stream, "streamBaseState"),
    at: {
      read: Reflect.get(stream, "kReadBytesOrError"),
      offset: Reflect.get(stream, "kArrayBufferOffset"),
      isAsync: Reflect.get(stream, "kLastWriteWasAsync"),
      error: typeof error === "number" ? error : undefined,
    },
  };
  return isComplete(found) ? found : undefined;
}

function isComplete(found: { [Key in keyof Bindings]: unknown }): found is Bindings {
  const { Tcp, ConnectRequest, WriteRequest, ShutdownRequest, state, at } = found;
  if (![Tcp, ConnectRequest, WriteRequest, ShutdownRequest].every((one) => typeof one === "function")) return false;
  if (typeof at !== "object" || at === null || !ArrayBuffer.isView(state)) return false;
  const places = ["read", "offset", "isAsync"].map((name): unknown => Reflect.get(at, name));
  if (!places.every((place) => typeof place === "number")) return false;
  return typeof Tcp === "function" && hasMethods(Reflect.get(Tcp, "prototype"));
}

function hasMethods(prototype: unknown): boolean {
  if (typeof prototype !== "object" || prototype === null || !("onread" in prototype)) return false;
  return [...METHODS, ...MORE_METHODS].every((name) => typeof Reflect.get(prototype, name) === "function");
}
