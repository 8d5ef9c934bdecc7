// Bans, from a hook: a line that no honest player sends is a trap. Who sends it is banned at all gateways on one Redis, by the name
// that he has given and for a minute; sessions that he has elsewhere end, too. docs/bans.md has the rest.
//
// In two terminals:
//   $ redis-server --port 6379 --save ''
//   $ npm start -- --config examples/bans.ts
//
// Try: two players; one cheats, and is known to everybody; the other one plays on.
//   $ printf 'bob\nmove\n' | nc -N 127.0.0.1 5050
//   welcome bob
//   moved
//   $ printf 'ann\nteleport\nmove\n' | nc -N 127.0.0.1 5050 | head -1
//   welcome ann
//   $ redis-cli -p 6379 --scan --pattern 'restyconf:ban:*'
//   restyconf:ban:var:player=ann
//   $ printf 'ann\nmove\n' | nc -N 127.0.0.1 5050
//   banned; try again in … s
//   $ printf 'bob\nmove\n' | nc -N 127.0.0.1 5050
//   welcome bob
//   moved
import { content, defineGateway, otherwise, type PrereadSession } from "restyconf";

const { LISTEN = "127.0.0.1:5050", REDIS = "127.0.0.1:6379" } = process.env;

const BAN_MS = 60_000;

declare module "restyconf" {
  interface SessionCtx {
    player?: string;
  }
}

/** The first line is the player's name: it is known before bans are asked about it. */
async function login(session: PrereadSession): Promise<void> {
  const { data } = await session.reader.receive();
  session.ctx.player = data?.toString() ?? "";
}

const game = content(async (session) => {
  const { player } = session.ctx;
  await session.write(`welcome ${player}\n`);
  for (let line = await session.reader.receive(); line.data; line = await session.reader.receive()) {
    if (String(line.data) === "teleport") {
      await session.worker.bans.add(`var:player=${player}`, { ttlMs: BAN_MS, reason: "teleports" });
      return;
    }
    await session.write("moved\n");
  }
});

export default defineGateway({
  redis: `redis://${REDIS}`,
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(game)],
      phases: { preread: login, set: { player: (session) => session.ctx.player } },
    },
  },
});
