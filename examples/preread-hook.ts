// The preread hook: has the last word on the route. It may look at the first bytes, read and answer them, and wait for
// others to answer. Here: clients of the next version, and players who signed up to test it, go to the next server.
//
// In three terminals:
//   $ node examples/stand-in.mjs stable 7001
//   $ node examples/stand-in.mjs next 7002
//   $ npm start -- --config examples/preread-hook.ts
//
// Try: an old client, a new one, and an old one of a tester. The peer gets each hello from its first byte on.
//   $ printf 'HELLO 1 ann\n' | nc -N 127.0.0.1 5050
//   stable
//   HELLO 1 ann
//   $ printf 'HELLO 2 ann\n' | nc -N 127.0.0.1 5050
//   next
//   HELLO 2 ann
//   $ printf 'HELLO 1 bob\n' | nc -N 127.0.0.1 5050
//   next
//   HELLO 1 bob
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { bytes } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", STABLE = "127.0.0.1:7001", NEXT = "127.0.0.1:7002" } = process.env;

/** Stands for a look-up in a database. */
async function isTester(player: string | undefined): Promise<boolean> {
  return player === "bob";
}

export default defineGateway({
  upstreams: {
    stable: { peers: [STABLE] },
    next: { peers: [NEXT] },
  },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(bytes(/^HELLO .+\n/, { name: "hello" }), proxy("stable")), otherwise(reject("no hello"))],
      phases: {
        // Runs when the routes have been asked; `session.protocol` tells what matched. Undefined means: as they say.
        preread: async (session) => {
          if (session.protocol !== "hello") return undefined;
          // Nothing is consumed. The route has seen a whole line, so there is no need to wait for more.
          const first = await session.peek(100, { orLess: true });
          const [, version, player] = first.data?.toString().split(/\s+/) ?? [];
          return version === "2" || (await isTester(player)) ? proxy("next") : undefined;
        },
      },
    },
  },
});
