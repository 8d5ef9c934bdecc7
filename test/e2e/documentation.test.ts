import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureCertificates } from "../../examples/quickstart/certificates.ts";
import { made } from "../ssl/made-certificates.ts";
import { exchange } from "../support/client.ts";
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

/** What headings are called in links. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading.toLowerCase());
  return headings.map((heading) => heading.replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"));
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
    `timeout 20 ${line.replaceAll(/127\.0\.0\.1[: ]\d+/g, (at) => at.replace(/\d+$/, String(started.port)))}`.replace(
      "timeout 20 printf",
      "printf",
    ),
  );
  expect(ran.stdout).toMatch(prints);
});

test("every `restyconf` command that a page names is there", async () => {
  const { stdout } = await run("node", [CLI, "--help"]);
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) .*\[(?:config|options)\]/gm)].map(([, command]) => command);
  expect(commands).toContain("explain");
  for (const page of [...pages, "CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md"]) {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, word] of text.matchAll(/(?:\brestyconf|dist\/cli\.js) +([a-z]+)\b/g)) {
      expect(commands, `${page}: restyconf ${word}`).toContain(word);
    }
  }
});

test("docs/errors.md: a sniffer of one's own that throws ends its session as internal", async () => {
  await using gateway = await Gateway.start(`
    import { defineGateway, on, reject } from "restyconf";
    const broken = { name: "broken", examples: [], sniff() { throw new Error("no luck"); } };
    export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [on(broken, reject("never"))] } } });`);
  await exchange(gateway.port(), "x");
  const line = await gateway.access();
  expect(line).toMatchObject({ end_cause: "internal", status: 500, code: "RC_INTERNAL", phase: "preread" });
  expect(line).toMatchObject({ reason: expect.stringContaining("no luck"), at: expect.stringContaining("sniff") });
});

describe("README", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const commands = [...readme.matchAll(/^node dist\/cli\.js .*$/gm)].map(([line]) => line);
  let checkout: string; // what a fresh clone is after `npm start`, with the README's configuration saved in it

  beforeAll(async () => {
    checkout = mkdtempSync(join(tmpdir(), "restyconf-readme-"));
    for (const name of ["dist", "src", "node_modules", "package.json", "tsconfig.json"]) {
      symlinkSync(join(root, name), join(checkout, name));
    }
    const [, config = ""] = /```ts\n(\/\/ restyconf\.config\.ts\n[\s\S]+?)```/.exec(readme) ?? [];
    writeFileSync(join(checkout, "restyconf.config.ts"), config.replace("0.0.0.0:5050", "127.0.0.1:0"));
    await ensureCertificates(join(checkout, "certs"));
  });
  afterAll(() => rmSync(checkout, { recursive: true }));

  const here = (command: string) => `cd ${checkout} && ${commands.find((line) => line.includes(`cli.js ${command}`))}`;

  test("shows three commands", () => expect(commands).toHaveLength(3));

  test("shows a configuration that its first command accepts", async () => {
    expect(await shell(here("check"))).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^ok /) });
  });

  test("explains bytes that go to the upstream which the configuration names for them", async () => {
    const explained = await shell(here("explain"));
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringContaining('routes[2]: proxy "api"') });
  });

  test("starts a gateway", async () => {
    const child = spawn("bash", ["-c", here("start").replace("&& node", "&& exec node")], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    for await (const chunk of child.stdout) {
      said += chunk;
      child.kill();
    }
    expect(said).toMatch(/^listening 127\.0\.0\.1:\d+ edge\n$/);
  });

  test.each(pages)("%s links to headings that exist", (page) => {
    const links = [...readFileSync(join(root, page), "utf8").matchAll(/\]\(([^)#:]*\.md)?#([^)]+)\)/g)];
    for (const [, path, anchor = ""] of links) {
      const there = path === undefined ? join(root, page) : join(root, page, "..", path);
      expect(anchorsOf(readFileSync(there, "utf8")), `${path ?? ""}#${anchor}`).toContain(anchor);
    }
  });

  test.each(pages)("%s links to files that exist", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    const folder = join(root, page, "..");
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path = ""]) => path);
    for (const link of links) expect(() => readFileSync(join(folder, link)), link).not.toThrow(/ENOENT/);
  });
});
