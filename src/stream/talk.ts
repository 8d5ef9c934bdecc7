import { TLSSocket } from "node:tls";
import type { Connection } from "./connection.ts";
import { upgrade } from "./handshake.ts";
import type { Reader } from "./reader.ts";
import type { Phase, StartedTls } from "./session.ts";

/** Phases in which a hook may talk with the client. */
const TALKING: ReadonlySet<Phase> = new Set<Phase>(["preread", "content"]);

/** Behind `preread` the session goes on, and needs its sending half. OpenResty: `shutdown` is for the content phase only. */
const ENDING: ReadonlySet<Phase> = new Set<Phase>(["content"]);

/** What a hook says to the client and hears from it, in the phases where it may. */
export class Talk {
  readonly #session: Connection;
  #starting: Promise<StartedTls> | undefined;

  constructor(session: Connection) {
    this.#session = session;
  }

  get reader(): Reader {
    this.#check("reader");
    return this.#session.client.reader;
  }

  write(bytes: string | Uint8Array): Promise<void> {
    return unforced(async () => {
      this.#check("write");
      await this.#session.client.write(bytes);
    });
  }

  end(bytes?: string | Uint8Array): Promise<void> {
    return unforced(async () => {
      this.#check("end", ENDING);
      if (bytes !== undefined) await this.#session.client.write(bytes);
      await this.#session.client.shutdown();
    });
  }

  shutdown(): Promise<void> {
    return unforced(async () => {
      this.#check("shutdown", ENDING);
      await this.#session.client.shutdown();
    });
  }

  startTls(): Promise<StartedTls> {
    return unforced(async () => {
      this.#check("startTls");
      this.#starting ??= this.#start().finally(() => {
        this.#starting = undefined;
      });
      return this.#starting;
    });
  }

  async #start(): Promise<StartedTls> {
    const { settings, client } = this.#session;
    if (!settings.ssl) throw new TypeError("startTls: ssl not configured for this server");
    if (!this.#session.ssl?.protocol) await upgrade(this.#session, settings.ssl);
    const { protocol = "", cipher = "" } = this.#session.ssl ?? {};
    const { stream } = client.inlet;
    return { protocol, cipher, sessionReused: stream instanceof TLSSocket && stream.isSessionReused() };
  }

  #check(what: string, phases = TALKING): void {
    const { phase, exited } = this.#session;
    if (exited) throw exited;
    if (!phases.has(phase)) throw new TypeError(`${what}: not available in the ${phase} phase`);
  }
}

/** A promise that nobody has to wait for: without this, a forgotten `await` would let a client's reset end the process. */
function unforced<T>(work: () => Promise<T>): Promise<T> {
  const promise = work();
  promise.catch(() => {});
  return promise;
}
