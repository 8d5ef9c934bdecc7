import { chmodSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "../errors.ts";
import type { BanOptions } from "../stream/bans/ban.ts";
import { bind } from "../stream/port.ts";
import { MAX_UNIX_PATH_BYTES } from "../worker/config/schema/address.ts";
import type { RunningGateway } from "../worker/master/running-gateway.ts";
import { MAX_DRAIN_MS } from "../worker/process-end.ts";
import type { Started } from "../worker/run-gateway.ts";
import { controlPath } from "../worker/state-dir.ts";

/** What is asked, and what is answered: JSON. */
type Answer = Readonly<Record<string, unknown>>;

/** One thing that an operator may ask; its parameters come as the query. */
type Handler = (parameters: URLSearchParams) => Promise<Answer>;

/** Longest answer is the session list; a question is a line. What keeps a connection open without asking is let go. */
const REQUEST_TIMEOUT_MS = 10_000;

/** A question names a path alone; to read it as an address takes the rest of one. */
const ORIGIN = "http://localhost";

/**
 * Listens for the command line on a unix socket that only its owner may use. Resolves when it is open.
 * @throws BindError when another gateway has it; Error when the path of the folder is too long
 */
export async function openControl(stateDir: string, started: Started, version: string): Promise<Server> {
  const handlers = handlersOf(started, version);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    void answer(handlers, request, response);
  });
  const path = controlPath(stateDir);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_UNIX_PATH_BYTES)
    throw new Error(`${path}: ${bytes} bytes, but a socket's path has ${MAX_UNIX_PATH_BYTES} at most`);
  return bind({ kind: "unix", path }, async () => {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    server.unref(); // it keeps no process alive that has nothing else to do
    try {
      chmodSync(path, 0o600);
    } catch (cause) {
      server.close(); // before somebody else uses it
      throw cause;
    }
    return server;
  });
}

function handlersOf({ operator, stop }: Started, version: string): ReadonlyMap<string, Handler> {
  const startedAt = new Date().toISOString();
  const done = (): Answer => ({ generation: operator.gateway.generation });
  const handlers: Readonly<Record<string, Handler>> = {
    "GET /version": async () => ({ version }),
    "GET /status": async () => ({
      version,
      pid: process.pid,
      startedAt,
      generation: operator.gateway.generation,
      listening: operator.gateway.listening,
      workers: await operator.gateway.status(),
    }),
    "GET /sessions": async () => ({ sessions: await operator.gateway.sessions() }),
    "POST /kill": async (parameters) => ({ killed: await operator.gateway.kill(parameters.get("session") ?? "") }),
    "POST /ban": async (parameters) => ({
      ban: await operator.gateway.ban(parameters.get("whom") ?? "", banOptions(parameters)),
    }),
    "POST /unban": async (parameters) => ({ unbanned: await operator.gateway.unban(parameters.get("whom") ?? "") }),
    "GET /bans": async () => ({ bans: await operator.gateway.bans() }),
    "GET /gateways": async () => ({ workers: await workersOf(operator.gateway) }),
    "POST /reload": async (parameters) => {
      await operator.reload(shareOf(parameters));
      return done();
    },
    "POST /promote": async () => operator.promote().then(done),
    "POST /rollback": async () => operator.rollback().then(done),
    "POST /replace": async () => operator.replace().then(done),
    "POST /stop": async () => later(() => stop("quick")),
    "POST /quit": async () => later(() => stop("drain")),
    "POST /drain": async (parameters) => {
      const overMs = drainMs(parameters);
      return later(() => stop("drain", overMs));
    },
  };
  return new Map(Object.entries(handlers));
}

function banOptions(parameters: URLSearchParams): BanOptions {
  const ttlMs = parameters.get("ttlMs");
  return { ttlMs: ttlMs === null ? undefined : Number(ttlMs), reason: parameters.get("reason") ?? undefined };
}

/** Those that the registry knows, and this gateway's own as they are now: it may share no registry. */
async function workersOf(gateway: RunningGateway): ReturnType<RunningGateway["registered"]> {
  const address = gateway.listening[0]?.address ?? "";
  const own = (await gateway.status()).map(({ id, pid, startedAt, sessions, generation }) => {
    return { id, address, pid, startedAt, sessions, generation };
  });
  const known = (await gateway.registered()).filter(({ id }) => own.every((worker) => worker.id !== id));
  return [...known, ...own].sort((one, other) => one.id - other.id);
}

/** 1 unless a share is asked for. */
function shareOf(parameters: URLSearchParams): number {
  const share = Number(parameters.get("share") ?? 1);
  if (share > 0 && share <= 1) return share;
  throw new Error(`share: expected more than 0 and at most 1, got ${parameters.get("share")}`);
}

function drainMs(parameters: URLSearchParams): number {
  const overMs = Number(parameters.get("overMs"));
  if (overMs > 0 && overMs <= MAX_DRAIN_MS) return overMs;
  throw new Error(`overMs: expected more than 0 and at most ${MAX_DRAIN_MS}, got ${parameters.get("overMs")}`);
}

/** The answer goes before what was asked for, since that ends the process. */
function later(work: () => void): Answer {
  setImmediate(work);
  return { ok: true };
}

async function answer(
  handlers: ReadonlyMap<string, Handler>,
  { method = "", url = "" }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const asked = URL.canParse(url, ORIGIN) ? new URL(url, ORIGIN) : undefined;
  if (!asked) return reply(response, 400, { error: "expected a path" });
  const { pathname, searchParams } = asked;
  const handler = handlers.get(`${method} ${pathname}`);
  if (!handler) return reply(response, 404, { error: `there is no ${method} ${pathname}` });
  try {
    const body: Promise<Answer> = handler(searchParams);
    reply(response, 200, await body);
  } catch (cause) {
    reply(response, 409, { error: messageOf(cause) });
  }
}

function reply(response: ServerResponse, status: number, body: Answer): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(`${JSON.stringify(body)}\n`);
}
