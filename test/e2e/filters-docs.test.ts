import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { TestServer } from "../support/servers.ts";

// The code of docs/filters.md, run as it stands.

const page = readFileSync(new URL("../../docs/filters.md", import.meta.url), "utf8");
const blocks = Array.from(page.matchAll(/```ts\n(bodyFilter: [\s\S]+?)```/g), ([, code = ""]) => code);

/** What a client sends through the filters of a block, and what it gets of a peer that says `debug up` and then echoes. */
const talks: readonly (readonly [string, string])[] = [
  ["hello\n", "HELLO\n"],
  ["abc", "debug up\ncba"],
  ["DROP it\nkeep it\ncut", "debug up\nPING\nkeep it\n"],
  ["PING\nhello\n", "debug up\nhello\nPONG\n"],
];

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await TestServer.open((socket) => {
    socket.write("debug up\n");
    socket.pipe(socket);
  });
  const servers = blocks.map(
    (code, at) => `s${at}: { listen: "127.0.0.1:0", routes: [otherwise(proxy("peer"))], phases: { ${code} } },`,
  );
  gateway = await Gateway.start(
    `import { defineGateway, frames, otherwise, proxy } from "restyconf";
     import { line } from "restyconf/codecs";
     export default defineGateway({ upstreams: { peer: { peers: ["${peer.address}"] } }, servers: { ${servers.join("\n")} } });`,
    { ports: blocks.length },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

test("has as many blocks of code as there are talks here", () => expect(blocks).toHaveLength(talks.length));

test.each(talks.map((talk, at) => [at, ...talk] as const))("block %d does what it says", async (at, sent, got) => {
  const lines = (text: string): string[] => text.split("\n").sort(); // an injected one may overtake those of the peer
  expect(lines(await exchange(gateway.port(`s${at}`), sent))).toEqual(lines(got));
});
