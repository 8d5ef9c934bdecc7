import { expect, test } from "vitest";
import { dialIn, exchange, readAll } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { echo } from "../support/servers.ts";

const everythingTo = (address: string): string =>
  `import { defineGateway, otherwise, proxy } from "restyconf";
   export default defineGateway({
     upstreams: { echo: { peers: ["${address}"] } },
     servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))] } },
   });`;

// Where Node's internals are not as expected, sessions are carried by net.Socket. The same bytes arrive.

test.each(["streams", "auto"])("a session is carried both ways, half-close and all, by node I/O: %s", async (io) => {
  await using peer = await echo();
  await using gateway = await Gateway.start(everythingTo(peer.address), {
    env: { RESTYCONF_NODE_IO: io, RESTYCONF_CARRIER: "node" },
  });
  const client = await dialIn(gateway.port("edge"));
  const sent = Buffer.alloc(3_000_000, "there and back ");
  client.end(sent);
  expect((await readAll(client)).equals(sent)).toBe(true);
});

test("an operator who looks for deprecations finds none of ours, and no end of the process", async () => {
  await using peer = await echo();
  await using gateway = await Gateway.start(everythingTo(peer.address), {
    env: { NODE_OPTIONS: "--pending-deprecation --throw-deprecation", RESTYCONF_CARRIER: "node" },
  });
  expect(await exchange(gateway.port("edge"), "still here")).toBe("still here");
});
