import type { Connection } from "../stream/connection.ts";

/** So much longer than without a word may a quick stop take for its goodbyes: nobody is waited for. */
const GOODBYE_MS = 400;

/** Goodbyes at once: others have their turn in between. */
const MOST_PER_TURN = 256;

/** Ends all sessions now. Those that are between two messages of a protocol with a goodbye say it first, as long as that takes no time. */
export function stopAll(all: ReadonlySet<Connection>): void {
  const polite: Connection[] = [];
  for (const session of all)
    if (session.farewellKind === "words") polite.push(session);
    else session.stop("shutdown");
  if (polite.length > 0) void sayAll(polite, all);
}

async function sayAll(polite: readonly Connection[], all: ReadonlySet<Connection>): Promise<void> {
  const endsAt = performance.now() + GOODBYE_MS;
  setTimeout(() => {
    for (const session of all) session.stop("shutdown"); // also those that do not read, and those that have come meanwhile
  }, GOODBYE_MS);
  for (let at = 0; at < polite.length && performance.now() < endsAt; at += MOST_PER_TURN)
    await Promise.all(polite.slice(at, at + MOST_PER_TURN).map(sayNow));
}

async function sayNow(session: Connection): Promise<void> {
  const isSaid = await session.farewell?.say("shutdown");
  if (isSaid === false) session.stop("shutdown");
}
