import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { dialIn, exchange, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { type Ran, run } from "../support/programs.ts";
import { TempFolder } from "./temp-folder.ts";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const API = pathToFileURL(fileURLToPath(new URL("../../dist/index.js", import.meta.url))).href;

/** Runs the command line in a folder. */
function restyconf(folder: TempFolder | undefined, args: readonly string[], input = ""): Promise<Ran> {
  const command = ["-C", folder?.path ?? "/", process.execPath, CLI, ...args];
  return run("env", command, { input });
}

/** A configuration whose one server answers each client with `answer`, a TypeScript expression of text. */
const answering = (answer: string, rest = "", listen = "127.0.0.1:0"): string =>
  `import { content, defineGateway, otherwise } from "restyconf";
   export default defineGateway({ servers: { edge: { listen: "${listen}", routes: [
     otherwise(content(async (session) => { await session.write(${answer}); })),
   ] } }, ${rest} });`;

async function dialUnix(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, "connect");
  return socket;
}

/** Passes when the port is closed. A client that still got in must not stay: a drain would wait for it. */
async function refuses(port: number): Promise<void> {
  const dialled = dialIn(port);
  dialled.then(
    (socket) => socket.destroy(),
    () => {},
  );
  await expect(dialled).rejects.toThrow("ECONNREFUSED");
}

describe("wrong usage ends with 2 and says what was expected", () => {
  test.each([
    ["no command", [], "Usage: restyconf"],
    ["an unknown command", ["strat"], "Did you mean start?"],
    ["an unknown option", ["check", "--conf", "x"], "Did you mean --config?"],
    ["an option without its value", ["explain", "--hex"], "argument missing"],
    ["too many arguments", ["check", "a.ts", "b.ts"], "too many arguments"],
    ["two configurations", ["check", "a.ts", "--config", "b.ts"], "expected one configuration"],
    ["a file that is not there", ["start", "gone.ts"], "gone.ts: no such file"],
    ["no file at all", ["check"], "has none of restyconf.config.ts"],
    ["hex that is none", ["explain", "--hex", "xyz", "c.json"], "--hex: expected hex digits"],
    ["half a byte", ["explain", "--hex", "123", "c.json"], "two digits for each byte"],
    ["an unknown escape", ["explain", "--text", "\\q", "c.json"], "is no escape"],
    ["hex and text", ["explain", "--hex", "00", "--text", "a", "c.json"], "exclude each other"],
    ["a server that is not there", ["explain", "--hex", "00", "--server", "egde", "c.json"], "expected edge"],
  ])("%s", async (_, args, text) => {
    const routes = [{ otherwise: true, reject: "no" }];
    using folder = new TempFolder({ "c.json": JSON.stringify({ servers: { edge: { listen: "h:1", routes } } }) });
    const { code, stdout, stderr } = await restyconf(folder, args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(text);
  });
});

test("help and version are no mistakes", async () => {
  const { version }: { version: string } = JSON.parse(readFileSync(join(CLI, "../../package.json"), "utf8"));
  expect(await restyconf(undefined, ["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  const help = await restyconf(undefined, ["--help"]);
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const command of ["start", "check", "explain"]) expect(help.stdout).toContain(`  ${command} `);
  for (const command of ["reload", "status", "quit", "drain"]) expect(help.stdout).toContain(`  ${command} `);
});

describe("check", () => {
  test("says ok, and that it opened nothing is seen by its end", async () => {
    using folder = new TempFolder({
      "restyconf.config.ts": `import { connect, createServer, type Socket } from "node:net";
        createServer().listen(0); // of the configuration's own: check does not wait for it
        ${answering(`"hi"`)}`,
    });
    const checked = await restyconf(folder, ["check"]);
    expect(checked).toEqual({
      code: 0,
      stdout: "ok restyconf.config.ts: 1 server, 1 route, 0 upstreams\n",
      stderr: "",
    });
  });

  test("ends with 1 and a line for each fault, and tells no secret", async () => {
    using folder = new TempFolder({
      "c.yaml": `redis: "redis:/:secret@host"\nupstreams: { game: { peers: ["h:1"] }, broker: { peers: ["h:2"] } }\nservers:\n  edge:\n    listen: 127.0.0.1:0\n    routes:\n      - { on: mqtt, proxy: broker }\n      - { on: http, proxy: gmae }\n`,
    });
    expect(await restyconf(folder, ["check", "c.yaml"])).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "c.yaml:1:8: redis: expected a URL like redis://host:6379, got text of 19 characters\n" +
        `c.yaml:8:28: servers.edge.routes[1].proxy: expected the name of an upstream (game, broker), got "gmae"; did you mean "game"?\n`,
    });
  });

  test("names the place of what TypeScript cannot import", async () => {
    using folder = new TempFolder({ "c.ts": `import { defineGateway, nope } from "restyconf";\nexport default nope;` });
    const { code, stderr } = await restyconf(folder, ["check", "c.ts"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^c\.ts:1: SyntaxError: .* does not provide an export named 'nope'\n$/);
  });

  test("looks into certificates and keys, and names the server or upstream of a wrong one", async () => {
    using folder = new TempFolder({
      "c.yaml": `upstreams: { api: { peers: ["h:1"], ssl: { ca: gone.pem } } }\nservers:\n  edge:\n    listen: 127.0.0.1:0\n    ssl: { mode: auto, certs: certs }\n    routes: [{ otherwise: true, proxy: api }]\n`,
      "certs/a.crt": "no certificate",
    });
    const { code, stderr } = await restyconf(folder, ["check", "c.yaml"]);
    expect(code).toBe(1);
    const [first, second] = stderr.split("\n");
    expect(first).toMatch(/^c\.yaml: upstreams\.api\.ssl\.ca: ENOENT/);
    expect(second).toMatch(/^c\.yaml: servers\.edge\.ssl\.certs: no usable certificate/);
  });

  test("warns of keys without effect and of routes that overlap, and is content all the same", async () => {
    const routes = [
      { on: "ssh", reject: "a" },
      { on: "ssh", reject: "b" },
    ];
    using folder = new TempFolder({
      "c.json": JSON.stringify({
        admin: { listen: "127.0.0.1:0" },
        servers: { edge: { listen: "127.0.0.1:0", routes } },
      }),
    });
    const { code, stdout, stderr } = await restyconf(folder, ["check", "--config", "c.json"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok c.json: 1 server, 2 routes, 0 upstreams\n" });
    expect(stderr).toMatch(
      /^warning: admin: not used by this version\nwarning: servers\.edge: routes\[1\] \(ssh\) may never/,
    );
  });
});

describe("explain", () => {
  const files = {
    "restyconf.config.yaml":
      "upstreams: { web: { peers: ['h:1'] } }\nservers:\n  edge:\n    listen: 127.0.0.1:0\n    routes: [{ on: http, proxy: web }, { on: ssh, reject: no }]\n",
  };
  test.each([
    ["--hex", ["--hex", Buffer.from("GET /\r\n").toString("hex")], ""],
    ["--text", ["--text", String.raw`GET /\r\n`], ""],
    ["standard input", [], "GET /\r\n"],
  ])("takes the bytes from %s", async (_, args, input) => {
    using folder = new TempFolder(files);
    const { code, stdout, stderr } = await restyconf(folder, ["explain", ...args], input);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(String.raw`server edge: 7 bytes 47 45 54 20 2f 0d 0a "GET /\r\n"`);
    expect(stdout).toMatch(/^ {2}routes\[0\] http .* · match at \d$/m);
    expect(stdout).toMatch(/^ {2}→ routes\[0\]: proxy "web", because it is http /m);
  });
});

describe("start", () => {
  test("says where it listens on stdout, then speaks JSON on stderr, and serves", async () => {
    await using gateway = await Gateway.start(answering(`"hello\\n"`));
    expect(gateway.stdout).toMatch(/^listening 127\.0\.0\.1:\d+ edge\n$/);
    expect(await exchange(gateway.port(), "")).toBe("hello\n");
    await gateway.access();
    for (const line of gateway.stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("time");
  });

  test("takes the API from the code that runs, by either name and by its URL", async () => {
    const config = answering("String(GatewayError === Other)").replace(
      "import {",
      `import { GatewayError as Other } from "${API}"; import { GatewayError,`,
    );
    await using gateway = await Gateway.start(config);
    expect(await exchange(gateway.port(), "")).toBe("true");
  });

  test.each([
    ["a wrong configuration", "c.json", `{ "servers": {} }`, 1, "c.json:1:14: servers: expected"],
    [
      "a hook that refuses to begin",
      "c.ts",
      answering(`"x"`, `phases: { init: () => { throw new Error("not today"); } }`),
      1,
      "not today",
    ],
    [
      "a log that cannot be opened",
      "c.ts",
      answering(`"x"`, `log: { access: "no/folder.log" }`),
      1,
      "log.access: ENOENT",
    ],
    ["an address of another machine", "c.ts", answering(`"x"`, "", "192.0.2.1:1"), 3, "cannot listen on 192.0.2.1:1"],
  ])("of %s opens nothing", async (_, name, text, code, fault) => {
    using folder = new TempFolder({ [name]: text });
    const ran = await restyconf(folder, ["start", name]);
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code, stdout: "" });
    expect(ran.stderr).toContain(fault);
  });

  test("of two servers opens none when one cannot be", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    using folder = new TempFolder({
      "c.json": JSON.stringify({
        servers: {
          a: { listen: "127.0.0.1:0", routes: [{ otherwise: true, reject: "x" }] },
          b: { listen: `127.0.0.1:${port}`, routes: [{ otherwise: true, reject: "x" }] },
        },
      }),
    });
    const { code, stdout, stderr } = await restyconf(folder, ["start", "c.json"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
    taken.close();
  });

  test("warns once of a Node without fixes and of each key without effect", async () => {
    await using gateway = await Gateway.start(
      answering(`"x"`, `redis: "redis://user:secret@127.0.0.1:1", admin: { listen: "127.0.0.1:0" }`),
    );
    await gateway.line(({ msg }) => msg === "session limit");
    const warnings = gateway.log.filter(({ level }) => level === "warn").map(({ msg }) => String(msg));
    const [, node = ""] = /^(\d+)/.exec(process.versions.node) ?? [];
    expect(warnings.filter((text) => text.startsWith("Node.js"))).toHaveLength(Number(node) <= 21 ? 1 : 0);
    expect(warnings).toContain("admin: not used by this version");
    expect(gateway.stderr).not.toContain("secret");
  });

  test("goes on when whoever read stdout has gone", async () => {
    using folder = new TempFolder();
    const path = join(folder.path, "edge.sock");
    folder.write("c.ts", answering(`"still here"`, "", `unix:${path}`));
    const child = spawn(process.execPath, [CLI, "start", join(folder.path, "c.ts")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    child.stderr.resume();
    // A session is served after the first words were written to nobody, and one more after that was noticed.
    for (let session = 0; session < 2; session++) {
      const answer = await eventually(async () => readAll(await dialUnix(path)));
      expect(answer.toString()).toBe("still here");
    }
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

describe("signals", () => {
  const waiting = `import { content, defineGateway, otherwise } from "restyconf";
    export default defineGateway({ log: { access: "access.log" }, servers: { edge: { listen: "127.0.0.1:0", routes: [
      otherwise(content(async (session) => { await session.write("hi\\n"); await session.reader.receive("*a"); })),
    ] } } });`;

  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s ends sessions at once, writes their access lines and exits with 0",
    async (signal) => {
      await using gateway = await Gateway.start(waiting);
      const client = await dialIn(gateway.port());
      await once(client, "data");
      expect(await gateway.stop(signal)).toBe(0);
      expect(readFileSync(join(gateway.folder, "access.log"), "utf8")).toMatch(/"end_cause":"shutdown".*\n$/);
      client.destroy();
    },
  );

  test("SIGQUIT accepts no more, waits for the sessions, then exits with 0", async () => {
    await using gateway = await Gateway.start(waiting);
    const port = gateway.port();
    const client = await dialIn(port);
    await once(client, "data");
    const stopped = gateway.stop("SIGQUIT");
    await eventually(() => refuses(port));
    expect(gateway.process.exitCode).toBe(null);
    client.end("bye");
    expect(await stopped).toBe(0);
    expect(readFileSync(join(gateway.folder, "access.log"), "utf8")).toMatch(
      /"end_cause":"content_done".*"bytes_received":3/,
    );
  });

  test("SIGTERM ends a drain that takes too long", async () => {
    await using gateway = await Gateway.start(waiting);
    const port = gateway.port();
    const client = await dialIn(port);
    await once(client, "data");
    gateway.process.kill("SIGQUIT");
    await eventually(() => refuses(port));
    expect(await gateway.stop("SIGTERM")).toBe(0);
    client.destroy();
  });

  test("SIGHUP reads the configuration again, and ends no session", async () => {
    await using gateway = await Gateway.start(waiting);
    const client = await dialIn(gateway.port());
    await once(client, "data");
    gateway.process.kill("SIGHUP");
    await gateway.line((line) => line["msg"] === "reload done");
    client.end("bye");
    await readAll(client);
    expect(await gateway.stop("SIGQUIT")).toBe(0);
    expect(readFileSync(join(gateway.folder, "access.log"), "utf8")).toMatch(/"end_cause":"content_done"/);
  });

  test("SIGUSR1 goes on in a new access log", async () => {
    await using gateway = await Gateway.start(waiting);
    const path = join(gateway.folder, "access.log");
    await exchange(gateway.port(), "one");
    await eventually(() => expect(readFileSync(path, "utf8")).toContain('"bytes_received":3'));
    renameSync(path, `${path}.1`);
    gateway.process.kill("SIGUSR1");
    await eventually(() => expect(existsSync(path)).toBe(true));
    await exchange(gateway.port(), "second");
    await eventually(() => expect(readFileSync(path, "utf8")).toContain('"bytes_received":6'));
    expect(readFileSync(`${path}.1`, "utf8")).not.toContain('"bytes_received":6');
  });
});

describe("an exception that nobody catches", () => {
  test.each([
    ["thrown", `setTimeout(() => { throw new Error("stray"); })`, "uncaughtException"],
    ["rejected", `void Promise.reject(new Error("stray"))`, "unhandledRejection"],
  ])(
    "%s in a hook is logged with code and phase; sessions end by themselves, and the exit code is 1",
    async (_, stray, origin) => {
      await using gateway = await Gateway.start(`import { content, defineGateway, otherwise } from "restyconf";
      export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [
        otherwise(content(async (session) => {
          const { data } = await session.reader.receive();
          if (String(data) === "boom") ${stray};
          await session.write("again\\n");
          await session.reader.receive();
          await session.write("done\\n");
        })),
      ] } } });`);
      const client = await dialIn(gateway.port());
      client.write("boom\n");
      await once(client, "data");
      const line = await gateway.line(({ level }) => level === "error");
      expect(line).toMatchObject({ msg: "uncaught", code: "RC_INTERNAL", phase: "worker", origin });
      expect(line["err"]).toMatchObject({ message: "stray", stack: expect.stringMatching(/restyconf\.config\.ts:5:/) });
      await eventually(() => refuses(gateway.port()));
      const exited = once(gateway.process, "exit");
      client.end("more\n");
      expect((await readAll(client)).toString()).toContain("done");
      expect(await exited).toEqual([1, null]);
    },
  );
});
