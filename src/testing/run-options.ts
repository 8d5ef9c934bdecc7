import type { Address } from "../codecs/address.ts";
import type { Peers } from "./memory-network.ts";
import type { Script } from "./party.ts";
import type { PartyTls } from "./party-tls.ts";

/** What happens in a run; everything but the configuration may be left out. */
export interface RunOptions {
  /** Which server the client comes to. Default: the only one. */
  readonly server?: string;
  /** What the client does. Default: nothing; it stays until the gateway ends the session. */
  readonly client?: Script;
  /** What peers do, for upstreams and for `connect` in hooks. Those that are not named refuse. */
  readonly peers?: Peers;
  /** Where the client comes from. Default 127.0.0.1, port 50000. */
  readonly remote?: Partial<Address>;
  /** Where it has connected to. Default: the first address that the server listens on. */
  readonly local?: Address;
  /** The client speaks TLS from its first byte on, before its script begins. */
  readonly tls?: PartyTls;
  /** What the client and the peers send arrives byte by byte. Default false. */
  readonly oneByOne?: boolean;
  /** What the registry has at the start, by key: `service:game:a`. */
  readonly registry?: Readonly<Record<string, string>>;
  /**
   * What `Date.now()` begins with. Default: 2026-01-01, midnight UTC; the real date for a configuration with `ssl`, because OpenSSL
   * judges certificates by that.
   */
  readonly now?: number | Date;
  /**
   * `fake`: time goes on by itself whenever everything waits, and no real time passes. `real`: for hooks that ask real services.
   * Default `fake`.
   */
  readonly clock?: "fake" | "real";
  /** The longest that the run may take, by its clock. Default: an hour; with the real clock, 4 s. */
  readonly limitMs?: number;
  /** Folder that relative paths of the configuration are relative to. Default: the working directory, or the folder of the file. */
  readonly baseDir?: string;
}
