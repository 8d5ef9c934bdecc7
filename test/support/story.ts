import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Gateway } from "./gateway.ts";
import { type Ran, shell } from "./programs.ts";
import { freePorts, Service } from "./service.ts";

/** The folder of the examples. */
export const EXAMPLES: string = fileURLToPath(new URL("../../examples/", import.meta.url));

/** A command of an example's header, and what it says that the command prints; `…` stands for any text. */
export interface Try {
  readonly command: string;
  readonly prints: readonly string[];
}

/** What the header of an example tells to do. */
interface Header {
  /** To be run to their end, before anything else. */
  readonly preparations: readonly string[];
  /** To be left running beside the gateway. */
  readonly services: readonly string[];
  /** How the gateway is started. */
  readonly start: string;
  readonly tries: readonly Try[];
}

/**
 * An example, run as its header tells: the servers that it names, the gateway, then the lines to try. In the place of the
 * ports that are written there are free ones, and in the place of `certs/` a folder that is empty at first.
 */
export class Story implements AsyncDisposable {
  readonly header: Header;
  /** Port of the gateway by the one that is written. */
  readonly ports: ReadonlyMap<string, number>;
  readonly #folder = mkdtempSync(join(tmpdir(), "restyconf-story-"));
  readonly #services: Service[] = [];
  #gateway: Gateway | undefined;

  private constructor(text: string, ports: ReadonlyMap<string, number>) {
    this.ports = ports;
    this.header = headerOf(this.#localised(text));
  }

  static async start(file: string): Promise<Story> {
    const text = readFileSync(join(EXAMPLES, file), "utf8");
    const written = [...new Set([...text.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port = ""]) => port))];
    const free = await freePorts(written.length);
    const story = new Story(text, new Map(written.map((port, index) => [port, free[index] ?? 0])));
    try {
      await story.#run(file, text);
    } catch (cause) {
      await story[Symbol.asyncDispose]();
      throw cause;
    }
    return story;
  }

  get gateway(): Gateway {
    if (!this.#gateway) throw new Error("not started");
    return this.#gateway;
  }

  /** Runs a command, in which ports and the folder of certificates are as written in the example. */
  run(command: string): Promise<Ran> {
    return shell(this.#localised(command));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateway?.[Symbol.asyncDispose]();
    for (const service of this.#services) await service[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(file: string, text: string): Promise<void> {
    for (const command of this.header.preparations) await shell(command);
    for (const command of this.header.services) this.#services.push(await Service.start(command));
    const env: Record<string, string> = { CERTS: this.#folder };
    for (const [, name = "", address = ""] of this.#localised(text).matchAll(/(\w+) = "(127\.0\.0\.1:\d+)"/g)) {
      env[name] = address;
    }
    const ports = Object.keys(env).filter((name) => name.startsWith("LISTEN")).length || 1;
    this.#gateway = await Gateway.startFile(this.#pathOf(file), { env, ports });
  }

  /** Data cannot read the environment: it is copied with the addresses in it, and with its hooks beside it. */
  #pathOf(file: string): string {
    if (file.endsWith(".ts")) return join(EXAMPLES, file);
    for (const name of [file, `${basename(file, ".yaml")}-hooks.ts`]) {
      writeFileSync(join(this.#folder, name), this.#localised(readFileSync(join(EXAMPLES, name), "utf8")));
    }
    return join(this.#folder, file);
  }

  #localised(text: string): string {
    const withPorts = text.replace(/\b\d{4}\b/g, (digits) => String(this.ports.get(digits) ?? digits));
    return withPorts.replace(/\bcerts\//g, `${this.#folder}/`);
  }
}

/** A header is the comment that a file begins with; in it `$` marks a command, and what is indented like it is printed. */
function headerOf(text: string): Header {
  const lines = text.split("\n").map((line) => /^(?:\/\/|#)(.*)$/.exec(line)?.[1]);
  const comment = lines.slice(0, lines.indexOf(undefined)).map((line) => line ?? "");
  const begin = comment.findIndex((line) => line.startsWith(" Try:"));
  const before = comment.slice(0, begin).flatMap((line) => (line.startsWith("   $ ") ? [line.slice(5)] : []));
  const isService = (command: string): boolean => /^(?:node|mosquitto|redis-server) /.test(command);
  const isStart = (command: string): boolean => command.startsWith("npm start ");
  return {
    preparations: before.filter((command) => !isService(command) && !isStart(command)),
    services: before.filter(isService),
    start: before.find(isStart) ?? "",
    tries: triesIn(comment.slice(begin + 1)),
  };
}

function triesIn(lines: readonly string[]): Try[] {
  const tries: { command: string; prints: string[] }[] = [];
  for (const line of lines) {
    if (line.startsWith("   $ ")) tries.push({ command: line.slice(5), prints: [] });
    else if (line.startsWith("   ")) tries.at(-1)?.prints.push(line.slice(3));
  }
  return tries;
}
