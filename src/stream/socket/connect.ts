import { type ConnectOptions, type ConnectSettings, connectSettings } from "./connect-settings.ts";
import { open } from "./open.ts";
import type { Grant } from "./pool.ts";
import { pools } from "./pools.ts";
import { StreamSocket } from "./socket.ts";
import { shakeHands } from "./ssl-handshake.ts";
import { type SslSettings, sslSettingsOf } from "./ssl-settings.ts";

/** What {@link connect} answers. */
export type Connected =
  | { readonly socket: StreamSocket; readonly err?: undefined }
  | { readonly err: string; readonly socket?: undefined };

/**
 * Opens a connection to a server of yours, or takes an idle one from the pool of this process: `host:port`, `[v6]:port` or
 * `unix:/path`. In every phase, in timers and `init` hooks. OpenResty: `ngx.socket.connect`, `tcpsock:connect`.
 *
 * Answers `{ socket }`, or `{ err }` in OpenResty's words: `connection refused`, `timeout`, `too many waiting connect
 * operations`, `<host> could not be resolved (3: Host not found)`.
 * @throws TypeError for an address without port, and for options of a wrong type or value
 */
export async function connect(address: string, options: ConnectOptions = {}): Promise<Connected> {
  const settings = connectSettings(address, options);
  const ssl = options.ssl && (await sslSettingsOf(options.ssl));
  if (settings.signal?.aborted) return { err: "aborted" };
  if (settings.destination.err !== undefined) return { err: settings.destination.err };
  const beganAt = performance.now();
  const { connectMs } = settings.times;
  const limits = { timeoutMs: connectMs, signal: settings.signal };
  const grant = await pools.acquire(settings.keyOf(ssl?.identity), settings.pool, limits);
  if (grant.err !== undefined) return { err: grant.err };
  const timeoutMs = Math.max(1, Math.ceil(beganAt + connectMs - performance.now()));
  const connected = await connectedBy(grant, settings, { ssl, timeoutMs });
  if (connected.err !== undefined) grant.slot.release(); // its place goes to the next in line
  return settings.signal?.aborted ? { err: "aborted" } : connected;
}

type Granted = Extract<Grant, { err?: undefined }>;

interface Opening {
  readonly ssl: SslSettings | undefined;
  readonly timeoutMs: number;
}

async function connectedBy(
  { slot, connection: idle }: Granted,
  settings: ConnectSettings,
  { ssl, timeoutMs }: Opening,
): Promise<Connected> {
  if (idle) return { socket: new StreamSocket(idle, { slot, settings, identity: ssl?.identity }) };
  const { signal, localAddress, destination } = settings;
  if (!destination.endpoint) return { err: destination.err };
  const { connection, err } = await open(destination.endpoint, { timeoutMs, signal, localAddress });
  if (err !== undefined) return { err };
  const failure = ssl && (await shakeHands(connection, ssl, { timeoutMs, signal }));
  if (failure !== undefined) return { err: failure };
  return { socket: new StreamSocket(connection, { slot, settings, identity: ssl?.identity }) };
}
