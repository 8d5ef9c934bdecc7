import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { formatWithOptions } from "node:util";
import { transform } from "esbuild";
import { afterEach, expect, test } from "vitest";
import { connect, udp } from "../../../src/index.ts";
import type { ConnectOptions } from "../../../src/stream/socket/connect-settings.ts";
import { made } from "../../ssl/made-certificates.ts";
import { echo } from "../../support/servers.ts";
import { freePorts, Service } from "../../support/service.ts";
import { closeAll, later, TlsServer } from "./socket-rig.ts";

// Each block of code on the page is run against real servers, and must print what its comments say.

afterEach(closeAll);

const page = readFileSync(new URL("../../../docs/sockets.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

/** The servers behind the addresses that are written on the page. */
const servers: Readonly<Record<string, () => Promise<string>>> = {
  "127.0.0.1:6379": async () => {
    const [port] = await freePorts(1);
    const redis = await Service.start(`redis-server --port ${port} --save ''`);
    later(() => redis[Symbol.asyncDispose]());
    return `127.0.0.1:${port}`;
  },
  "127.0.0.1:7001": async () => {
    const server = await echo();
    later(() => server[Symbol.asyncDispose]());
    return server.address;
  },
  "127.0.0.1:7002": async () => {
    const server = createSocket("udp4");
    server.on("message", (datagram, from) => server.send(datagram, from.port, from.address));
    await once(server.bind(0, "127.0.0.1"), "listening");
    later(() => server.close());
    return `127.0.0.1:${server.address().port}`;
  },
  "127.0.0.1:8443": async () => (await TlsServer.open(await made({ names: ["peer.test"] }))).address,
};

test.each(blocks)("docs/sockets.md, block %#", async (block) => {
  let code = block.replace(/^import .*\n/gm, "");
  for (const [written, start] of Object.entries(servers)) {
    if (code.includes(written)) code = code.replaceAll(written, await start());
  }
  const printed: string[] = [];
  const log = (...values: unknown[]): void => void printed.push(formatWithOptions({ colors: false }, ...values));
  const tracked = async (address: string, options?: ConnectOptions) => {
    const connected = await connect(address, options);
    if (connected.socket) later(() => connected.socket[Symbol.dispose]());
    return connected;
  };
  const { code: plain } = await transform(code, {
    loader: "ts",
    target: "es2022",
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  await AsyncFunction("connect", "udp", "console", plain)(tracked, udp, { log });
  const expected = [...block.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].flatMap(([, text = ""]) =>
    /^\d+(, \d+)+$/.test(text) ? text.split(", ") : [text],
  );
  expect(expected).not.toEqual([]);
  expect(printed).toEqual(expected);
});

test("the page has a block for most of its entries", () => expect(blocks.length).toBeGreaterThanOrEqual(9));

test("docs/sockets.md names every option of connect, and none that is not there", () => {
  const options: Readonly<Record<keyof ConnectOptions, true>> = {
    pool: true,
    poolSize: true,
    backlog: true,
    ssl: true,
    localAddress: true,
    signal: true,
    connectMs: true,
    sendMs: true,
    readMs: true,
  };
  const [, section = ""] = /## connect\(address, options\?\)\n(.*?)\n## /s.exec(page) ?? [];
  const rows = [...section.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(
    ([, names = ""]) => names.match(/\w+/g) ?? [],
  );
  expect(rows.sort()).toEqual(Object.keys(options).sort());
});
