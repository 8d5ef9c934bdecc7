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
