import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import { dialIn, readAll, readUntil } from "./client.ts";
import { eventually } from "./eventually.ts";
import type { Gateway, LogLine } from "./gateway.ts";

// Gateways of several workers, whose answers tell which process has given them.

const WORKERS = 2;

/** What of the usual configuration is different. */
interface Config {
  readonly workers?: number;
  readonly listen?: string;
  /** Further servers. */
  readonly servers?: string;
  /** Of the gateway. */
  readonly phases?: string;
  /** Further keys of the gateway. */
  readonly keys?: string;
  /** In front of the configuration. */
  readonly more?: string;
}

/**
 * Each answer names the process that gives it; a line keeps the session, the end of a client's ends it. `throw`, `spin`: the process is
 * broken from then on. `ids`: makes 300 of them, or says why not.
 */
export function config({
  workers = WORKERS,
  listen = `"127.0.0.1:0"`,
  servers = "",
  phases = "",
  keys = "",
  more = "",
}: Config = {}): string {
  return `import { existsSync } from "node:fs";
    import { content, defineGateway, otherwise, reject } from "restyconf";
    const told = (what) => console.error(JSON.stringify(what));
    const until = async (isSo) => { while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20)); };
    const there = (name) => existsSync(new URL(name, "file://" + import.meta.dirname + "/"));
    const talk = content(async (session) => {
      const { worker } = session;
      for (;;) {
        const { data, err } = await session.reader.receive();
        if (err) return;
        if (String(data) === "throw") setImmediate(() => { throw new Error("on purpose"); });
        if (String(data) === "spin") setImmediate(() => { for (;;); });
        await session.write([worker.number, process.pid, worker.generation, String(data) === "ids" ? ids(worker) : data].join(" ") + "\\n");
      }
    });
    const ids = ({ snowflake }) => {
      try {
        return Array.from({ length: 300 }, () => snowflake.next()).join();
      } catch (error) {
        return error.code;
      }
    };
    ${more}
    export default defineGateway({
      stateDir: "state", workers: ${workers}, ${keys} phases: { ${phases} },
      servers: { edge: { listen: ${listen}, routes: [otherwise(talk)] }, ${servers} },
    });`;
}

/** Who has answered. */
export interface Answer {
  readonly number: number;
  readonly pid: number;
  readonly generation: number;
  readonly text: string;
}

/** Has one line answered. */
export async function ask(socket: Socket, text = "x"): Promise<Answer> {
  socket.write(`${text}\n`);
  const answer = await readUntil(socket, (soFar) => soFar.endsWith("\n"));
  const [number = "0", pid = "0", generation = "0", rest = ""] = answer.trim().split(" ");
  return { number: Number(number), pid: Number(pid), generation: Number(generation), text: rest };
}

/** So long may a client wait on a machine that is busy; who waits where nobody accepts waits for ever. */
const PATIENCE_MS = 20_000;

/** So many clients at once. Each is answered: nobody is refused, reset or left alone. */
export function clients(port: number, count = 24): Promise<readonly Answer[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = await dialIn(port);
      const timer = setTimeout(() => socket.destroy(new Error("nobody answers")), PATIENCE_MS);
      const answer = await ask(socket);
      clearTimeout(timer);
      socket.destroy();
      expect(answer.text, "nobody answers").toBe("x");
      return answer;
    }),
  );
}

/** Clients that come and go, until they are told to stop; none may be refused or reset. */
export function load(
  to: number | (() => Promise<Socket>),
  isLost: (answer: string) => boolean = () => false,
): () => Promise<number> {
  const dial = typeof to === "number" ? () => dialIn(to) : to;
  let runs = true;
  let served = 0;
  const clients = Array.from({ length: 6 }, async () => {
    while (runs) {
      const answer = await dial().then(asked, unheard);
      if (!isLost(answer)) expect(answer).toMatch(/^\d+ \d+ \d+ x\n$/);
      served++;
    }
  });
  return async () => {
    runs = false;
    await Promise.all(clients);
    return served;
  };
}

async function asked(socket: Socket): Promise<string> {
  socket.on("error", () => {});
  socket.end("x\n");
  return (await readAll(socket).catch(() => Buffer.from(""))).toString();
}

/** A reset may come before this process has looked at the connection that was made: whoever was connected hears nothing then. */
function unheard(cause: unknown): string {
  expect(cause).toMatchObject({ code: "ECONNRESET" });
  return "";
}

/** A session of one worker. */
export type Held = Answer & { readonly socket: Socket };

/** Sessions until each of the workers has one. */
export async function oneOfEach(port: number, workers = WORKERS): Promise<Held[]> {
  const found = new Map<number, Held>();
  await eventually(async () => {
    const socket = await dialIn(port);
    const answer = await ask(socket);
    if (found.has(answer.number)) socket.destroy();
    else found.set(answer.number, { ...answer, socket });
    expect(found.size).toBe(workers);
  });
  return [...found.values()].sort((left, right) => left.number - right.number);
}

/** A session of the worker with this number. */
export async function oneOf(port: number, number: number): Promise<Held> {
  for (;;) {
    const socket = await dialIn(port);
    const answer = await ask(socket);
    if (answer.number === number) return { ...answer, socket };
    socket.destroy();
  }
}

/** Sends a signal, after a change of the configuration's text if there is one, and waits for what becomes of it. */
export async function change(gateway: Gateway, signal: NodeJS.Signals, text?: string): Promise<LogLine> {
  if (text !== undefined) write(gateway, text);
  const next = nextLine(gateway, (line) => / (?:done|failed)$/.test(String(line["msg"])));
  gateway.process.kill(signal);
  return next;
}

/** Changes the text of the configuration. */
export function write(gateway: Gateway, text: string): void {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), text);
}

/** A line of the log that is not there yet. */
export function nextLine(gateway: Gateway, fits: (line: LogLine) => boolean): Promise<LogLine> {
  const before = gateway.log.length;
  return gateway.line((line) => fits(line) && gateway.log.indexOf(line) >= before);
}

/** A file that hooks of a gateway look for: `there(name)`. */
export function put(gateway: Gateway, name: string): void {
  writeFileSync(join(gateway.folder, name), "");
}

/** False: the process has ended. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** For the environment of a gateway: its long timers run five times as fast. */
export const FAST: Readonly<Record<string, string>> = {
  NODE_OPTIONS: `--import=${new URL("./fast-clock.mjs", import.meta.url).href}`,
};

/** Resolves when the other end has gone, by an end or a reset. */
export async function gone(socket: Socket): Promise<void> {
  socket.on("error", () => {}).resume();
  if (!socket.readableEnded && !socket.closed)
    await new Promise((resolve) => socket.once("end", resolve).once("close", resolve));
  socket.destroy();
}

/** What the log says of a reload that is done. */
export const GROWN = "reload done";

/** A session that stays. */
export async function hold(dial: Promise<Socket>): Promise<Held> {
  const socket = await dial;
  return { ...(await ask(socket)), socket };
}
