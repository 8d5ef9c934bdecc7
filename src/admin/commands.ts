import { setTimeout as sleep } from "node:timers/promises";
import { AskError, ask, NotRunning } from "./ask.ts";

/** Between two looks at a gateway that ends. */
const LOOK_MS = 500;

/** Prints what a running gateway says of itself. */
export async function showStatus(stateDir: string): Promise<readonly string[]> {
  return [JSON.stringify(await ask(stateDir, "GET /status"), undefined, 2)];
}

/** The sessions that live, a line of JSON each. */
export async function showSessions(stateDir: string): Promise<readonly string[]> {
  const { sessions } = await ask(stateDir, "GET /sessions");
  return Array.isArray(sessions) ? sessions.map((session) => JSON.stringify(session)) : [];
}

/** Ends one session. @throws AskError when no such session lives */
export async function kill(stateDir: string, session: string): Promise<readonly string[]> {
  const { killed } = await ask(stateDir, `POST /kill?session=${encodeURIComponent(session)}`);
  if (killed !== true) throw new AskError(`no session is called ${session}`);
  return [`killed ${session}`];
}

/** Bans somebody at all gateways. `ttlMs` undefined: for good. @throws AskError where the registry cannot be reached */
export async function ban(
  stateDir: string,
  whom: string,
  { ttlMs, reason }: { readonly ttlMs: number | undefined; readonly reason: string | undefined },
): Promise<readonly string[]> {
  const query = new URLSearchParams({ whom });
  if (ttlMs !== undefined) query.set("ttlMs", String(ttlMs));
  if (reason !== undefined) query.set("reason", reason);
  const { ban } = await ask(stateDir, `POST /ban?${query}`);
  return [`banned ${JSON.stringify(ban)}`];
}

/** Takes a ban back. @throws AskError when there is none */
export async function unban(stateDir: string, whom: string): Promise<readonly string[]> {
  const { unbanned } = await ask(stateDir, `POST /unban?${new URLSearchParams({ whom })}`);
  if (unbanned !== true) throw new AskError(`${whom} is not banned`);
  return [`unbanned ${whom}`];
}

/** Who is banned, a line of JSON each. */
export async function showBans(stateDir: string): Promise<readonly string[]> {
  const { bans } = await ask(stateDir, "GET /bans");
  return Array.isArray(bans) ? bans.map((each) => JSON.stringify(each)) : [];
}

/** All workers of all gateways, a line of JSON each. */
export async function showGateways(stateDir: string): Promise<readonly string[]> {
  const { workers } = await ask(stateDir, "GET /gateways");
  return Array.isArray(workers) ? workers.map((worker) => JSON.stringify(worker)) : [];
}

/** Changes the configuration, and says which one serves then. */
export async function change(stateDir: string, question: string, what: string): Promise<readonly string[]> {
  const { generation } = await ask(stateDir, question);
  return [`${what}: generation ${generation}`];
}

/** Tells the gateway to end, and says how many sessions are left until it has. */
export async function end(stateDir: string, question: string, print: (line: string) => void): Promise<void> {
  await ask(stateDir, question);
  for (let shown = -1; ; await sleep(LOOK_MS)) {
    const left = await sessionsLeft(stateDir);
    if (left === undefined) return print("ended");
    if (left !== shown) print(`${left} sessions left`);
    shown = left;
  }
}

/** Undefined: the gateway has ended. */
async function sessionsLeft(stateDir: string): Promise<number | undefined> {
  try {
    const { workers } = await ask(stateDir, "GET /status");
    return Array.isArray(workers) ? workers.reduce((total: number, { sessions }) => total + sessions, 0) : 0;
  } catch (cause) {
    if (cause instanceof NotRunning) return undefined;
    throw cause;
  }
}
