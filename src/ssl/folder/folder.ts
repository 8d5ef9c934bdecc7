import { join, resolve } from "node:path";
import type { Certificate } from "../certificate.ts";
import { type CertStore, type NameIndex, nameIndex } from "../store.ts";
import { folderClaims } from "./claims.ts";
import { watchPlan } from "./links.ts";
import { errnoOf, type Loaded, loadPairs, readPairs } from "./pairs.ts";
import { FolderWatch } from "./watch.ts";

/** How a folder of certificates is looked after. */
export interface CertFolderOptions {
  /** Gets a sentence for each thing that an operator has to mend: once per broken content, once per certificate that ran out. */
  readonly warn: (message: string) => void;
  /** How often the folder is read without a sign of change: network file systems give none. Default 60,000. */
  readonly pollMs?: number;
}

/** A store that watches files: close it when its server is gone. */
export interface CertFolder extends CertStore {
  /** Stops watching. What was read last is still answered, for sessions that began before. */
  close(): Promise<void>;
}

/** What is wrong, by a key that changes when the thing itself does. */
type Complaints = ReadonlyMap<string, string>;

const POLL_MS = 60_000;
const MAX_ROUNDS = 5; // the second is the rule; more are needed only while links change under our eyes

/**
 * Certificates from the pairs `name.crt` and `name.key` in a folder, read again when they change.
 * `default.crt` answers unknown names and clients without one; without it they are refused.
 * Rejects with a TypeError when the folder cannot be read or holds no usable pair.
 */
export async function certFolder(path: string, options: CertFolderOptions): Promise<CertFolder> {
  const folder = new WatchedFolder(resolve(path), options);
  try {
    await folder.open();
    return folder;
  } catch (cause) {
    await folder.close();
    throw cause;
  }
}

class WatchedFolder implements CertFolder {
  readonly #path: string;
  readonly #warn: (message: string) => void;
  readonly #watch = new FolderWatch(() => this.#rescan());
  readonly #poll: NodeJS.Timeout;
  #pairs: ReadonlyMap<string, Loaded> = new Map();
  #lookUp: NameIndex = () => undefined;
  #said: Complaints = new Map();
  #isStale = false;
  #isClosed = false;
  #scanning: Promise<void> | undefined;

  constructor(path: string, { warn, pollMs = POLL_MS }: CertFolderOptions) {
    this.#path = path;
    this.#warn = warn;
    this.#poll = setInterval(() => this.#rescan(), pollMs).unref();
  }

  async find(serverName: string | undefined): Promise<Certificate | undefined> {
    return this.#lookUp(serverName);
  }

  async open(): Promise<void> {
    const first = this.#scan();
    this.#scanning = this.#following(first);
    const complaints = await first;
    if (![...this.#pairs.values()].some(({ certificate }) => certificate)) {
      throw new TypeError(`no usable certificate: ${[...complaints.values()].join("; ")}`);
    }
    this.#say(complaints);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#poll);
    this.#watch.close();
    await this.#scanning;
  }

  /** One scan at a time; a change during one asks for another. */
  #rescan(): void {
    this.#isStale = true;
    this.#scanning ??= this.#following();
  }

  async #following(first?: Promise<Complaints>): Promise<void> {
    try {
      await first;
      while (this.#isStale && !this.#isClosed) {
        this.#isStale = false;
        this.#say(await this.#scan());
      }
    } finally {
      this.#scanning = undefined;
    }
  }

  /** Watches before it reads, so that no change falls between; the new index takes the old one's place when it is whole. */
  async #scan(): Promise<Complaints> {
    const complaints = new Map<string, string>();
    for (const directory of await this.#follow()) {
      complaints.set(directory, `cannot watch ${directory}; changes there are noticed by the slow poll only`);
    }
    try {
      const pairs = loadPairs(await readPairs(this.#path), this.#pairs);
      const { claims, fallback } = folderClaims(pairs.values());
      this.#lookUp = nameIndex(claims, fallback);
      this.#pairs = pairs;
      if (pairs.size === 0) complaints.set("empty", `${this.#path} holds no name.crt with name.key`);
    } catch (cause) {
      const stays = this.#pairs.size > 0 ? "; its certificates stay in use" : "";
      complaints.set("folder", `${this.#path} cannot be read (${errnoOf(cause)})${stays}`);
    }
    return new Map([...complaints, ...this.#faults()]);
  }

  /** Plans until nothing new turns up, or it changes faster than we can look: then the next change or the poll helps. */
  async #follow(): Promise<readonly string[]> {
    for (let round = 1; ; round++) {
      const { isNew, unwatched } = await this.#watch.follow(await watchPlan(this.#path));
      if (!isNew || round === MAX_ROUNDS) return unwatched;
    }
  }

  #faults(): Complaints {
    const faults = new Map<string, string>();
    const now = Date.now();
    for (const { name, digest, certificate, fault } of this.#pairs.values()) {
      const file = join(this.#path, `${name}.crt`);
      const rest = certificate ? "the certificate before it stays in use" : "left out";
      if (fault !== undefined) faults.set(`${name} ${digest}`, `${join(this.#path, fault)}; ${rest}`);
      if (certificate === undefined) continue;
      const { fingerprint, notBefore, notAfter } = certificate;
      if (now > notAfter) faults.set(`ended ${fingerprint}`, `${file} expired at ${isoTime(notAfter)}`);
      if (now < notBefore) faults.set(`early ${fingerprint}`, `${file} is not valid before ${isoTime(notBefore)}`);
    }
    return faults;
  }

  /** Says what was not said before. Amid changes a pair may be read half old, half new: then the next scan has the word. */
  #say(complaints: Complaints): void {
    if (this.#isClosed || this.#isStale || this.#watch.isSettling) return;
    const before = this.#said;
    this.#said = complaints;
    for (const [key, message] of complaints) if (!before.has(key)) this.#warn(message);
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
