import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { Gateway } from "../support/gateway.ts";
import { run, shell } from "../support/programs.ts";
import { echo } from "../support/servers.ts";

// The documentation's shell lines are executed as they stand, the port apart; its configurations are checked.

const root = fileURLToPath(new URL("../../", import.meta.url));
const CLI = join(root, "dist/cli.js");
const pages = ["README.md", ...readdirSync(join(root, "docs"), { recursive: true }).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith(".md") && name !== "docs/benchmarks.md")
  .sort();

/** Lines that talk to a gateway, without the prompt. */
function linesOf(page: string): string[] {
  return readFileSync(join(root, page), "utf8")
    .split("\n")
    .map((line) => line.replace(/^\$ /, ""))
    .filter((line) => /^(printf|echo|sleep|nc|openssl|curl|mosquitto_\w+|socat) /.test(line));
}

/** A page, one of its lines, the gateway that it needs, and what it prints. */
const executed: readonly { page: string; line: string; start: () => Promise<Started>; prints: RegExp }[] = [
  {
    page: "docs/proxy-protocol.md",
    line: "curl --haproxy-protocol http://127.0.0.1:5050/",
    start: () => trusting(),
    prints: /^hello 127\.0\.0\.1\n$/,
  },
  {
    page: "docs/proxy-protocol.md",
    line: "printf 'PROXY TCP4 192.0.2.1 192.0.2.2 40000 5050\\r\\nhello\\n' | nc -N 127.0.0.1 5050",
    start: () => trusting(),
    prints: /^hello\n$/,
  },
  {
    page: "docs/sniffers/tls.md",
    line: "openssl s_client -connect 127.0.0.1:443 -servername one.raw.example",
    start: () => passing(),
    prints: /subject=CN = one\.raw\.example/,
  },
];

interface Started extends AsyncDisposable {
  readonly port: number;
}

async function trusting(): Promise<Started> {
  const peer = await echo();
  const gateway = await Gateway.start(`
    import { content, defineGateway, on, otherwise, proxy } from "restyconf";
    import { http } from "restyconf/preread";
    const greet = content(async (session) => session.write("HTTP/1.0 200 OK\\r\\n\\r\\nhello " + session.remote.host + "\\n"));
    export default defineGateway({ upstreams: { echo: { peers: ["${peer.address}"] } }, servers: { edge: {
      listen: "127.0.0.1:0", proxyProtocol: { trust: ["127.0.0.1"] }, routes: [on(http(), greet), otherwise(proxy("echo"))] } } });`);
  return closing(gateway, () => peer[Symbol.asyncDispose]());
}

async function passing(): Promise<Started> {
  const peer = createServer(await made({ names: ["one.raw.example"] }), (socket) => socket.end());
  peer.listen(0, "127.0.0.1");
  await once(peer, "listening");
  const bound = peer.address();
  const gateway = await Gateway.start(`
    import { defineGateway, on, proxy } from "restyconf";
    import { tls } from "restyconf/preread";
    export default defineGateway({
      upstreams: { game: { peers: ["127.0.0.1:${bound !== null && typeof bound === "object" ? bound.port : 0}"] } },
      servers: { edge: { listen: "127.0.0.1:0", routes: [on(tls({ serverName: "*.raw.example" }), proxy("game"))] } } });`);
  return closing(gateway, async () => void peer.close());
}

function closing(gateway: Gateway, then: () => Promise<void>): Started {
  return {
    port: gateway.port(),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      await then();
    },
  };
}

test("every line that talks to a gateway is among the executed ones", () => {
  const found = pages.flatMap((page) => linesOf(page).map((line) => `${page}: ${line}`));
  expect(found.sort()).toEqual(executed.map(({ page, line }) => `${page}: ${line}`).sort());
});

test.each(executed)("$page: $line", async ({ line, start, prints }) => {
  await using started = await start();
  const ran = await shell(
    `timeout 5 ${line.replaceAll(/127\.0\.0\.1[: ]\d+/g, (at) => at.replace(/\d+$/, String(started.port)))}`.replace(
      "timeout 5 printf",
      "printf",
    ),
  );
  expect(ran.stdout).toMatch(prints);
});

describe("README", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");

  test("shows a configuration that the check accepts", async () => {
    const [, config = ""] = /```ts\n(\/\/ restyconf\.config\.ts\n[\s\S]+?)```/.exec(readme) ?? [];
    const folder = mkdtempSync(join(tmpdir(), "restyconf-readme-"));
    writeFileSync(join(folder, "restyconf.config.ts"), config.replace('certs: "certs"', 'certs: "."'));
    for (const [name, text] of Object.entries(await certificateFiles())) writeFileSync(join(folder, name), text);
    const checked = await run("node", [CLI, "check", join(folder, "restyconf.config.ts")]);
    const [, text = ""] = /npx restyconf explain --text '([^']+)'/.exec(readme) ?? [];
    const explained = await run("node", [CLI, "explain", join(folder, "restyconf.config.ts"), "--text", text]);
    rmSync(folder, { recursive: true });
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringContaining("http") });
  });

  test.each(pages)("%s links to files that exist", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    const folder = join(root, page, "..");
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path = ""]) => path);
    for (const link of links) expect(() => readFileSync(join(folder, link)), link).not.toThrow(/ENOENT/);
  });
});
