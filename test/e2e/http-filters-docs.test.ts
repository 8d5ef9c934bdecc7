import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";

// The code of docs/http-filters.md, run as it stands.

const page = readFileSync(new URL("../../docs/http-filters.md", import.meta.url), "utf8");
const [heads = "", bodies = "", prefaces = "", ...others] = [...page.matchAll(/```ts\n([\s\S]+?)```/g)].map(
  ([, code = ""]) => code,
);

let gateway: Gateway;
let node: Server;
let echoing: TestServer;

beforeAll(async () => {
  node = createServer((message, response) => {
    const type = message.url === "/page" ? "text/html" : "text/plain";
    response.writeHead(200, { "X-Powered-By": "node", "Content-Type": type, "Content-Length": 6 }).end("colour");
  });
  await once(node.listen(0, "127.0.0.1"), "listening");
  echoing = await echo();
  const { port } = node.address() as AddressInfo;
  gateway = await Gateway.start(
    `
import { defineGateway, httpBody, on, otherwise, proxy } from "restyconf";
import { http } from "restyconf/preread";
const routes = [on(http(), proxy("node")), otherwise(proxy("echo"))];
export default defineGateway({
  upstreams: { node: { peers: ["127.0.0.1:${port}"] }, echo: { peers: ["${echoing.address}"] } },
  servers: {
    heads: { listen: "127.0.0.1:0", routes, phases: { ${heads} } },
    bodies: { listen: "127.0.0.1:0", routes, phases: { ${bodies} } },
    prefaces: { listen: "127.0.0.1:0", routes, phases: { ${prefaces} } },
  },
});
`,
    { ports: 3 },
  );
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  node?.closeAllConnections();
  node?.close();
  await echoing?.[Symbol.asyncDispose]();
});

const get = (server: string, path: string): Promise<string> =>
  exchange(gateway.port(server), `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);

test("the page has three examples", () => {
  expect(others).toEqual([]);
  expect(prefaces).toContain("toUpstream");
});

test("the first one edits heads", async () => {
  const answer = await get("heads", "/static/a");
  expect(answer).toMatch(/\r\nStrict-Transport-Security: max-age=31536000\r\nCache-Control: public\r\n\r\ncolour$/);
  expect(answer).not.toContain("X-Powered-By");
  expect(await get("heads", "/a")).not.toContain("Cache-Control");
  expect(await exchange(gateway.port("heads"), "\0hello")).toBe("\0hello");
});

test("the second one changes bodies of text, and no others", async () => {
  expect(await get("bodies", "/text")).toMatch(/chunked\r\n\r\n5\r\ncolor\r\n[\s\S]*\n-- \nfiltered\n\r\n0\r\n\r\n$/);
  expect(await get("bodies", "/page")).toMatch(/\r\nContent-Length: 6\r\n[\s\S]*\r\n\r\ncolour$/);
});

test("the third one writes prefaces", async () => {
  const answer = await exchange(gateway.port("prefaces"), "\0hello");
  expect(answer).toBe("welcome\nclient 127.0.0.1\n\0hello");
  expect(await get("prefaces", "/text")).toMatch(/colour$/);
});
