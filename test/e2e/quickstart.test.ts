import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tryIt } from "../../examples/quickstart/try-it.ts";
import { Gateway } from "../support/gateway.ts";
import { shell } from "../support/programs.ts";
import { freePorts } from "../support/service.ts";
import { EXAMPLES } from "../support/story.ts";

const CONFIG = join(EXAMPLES, "quickstart/restyconf.config.ts");
/** A folder with a blank and a quote in it, as a user's home may be. */
const certs = join(mkdtempSync(join(tmpdir(), "restyconf-quickstart-")), "it's mine");
const [port = 0] = await freePorts(1);

describe("the quickstart", () => {
  let gateway: Gateway;

  beforeAll(async () => {
    const env = { RESTYCONF_PORT: String(port), RESTYCONF_CERTS: certs };
    gateway = await Gateway.startFile(CONFIG, { env });
  });

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(join(certs, ".."), { recursive: true, force: true });
  });

  const lines = tryIt(port, certs);

  test("prints every line, and nothing else that a shell would run", () => {
    const printed = gateway.stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(printed.filter((line) => !line.startsWith("listening "))).toEqual(lines.map(({ command }) => command));
  });

  test.each(lines)("$title: $command", async ({ command, answer }) => {
    const [printed = "not printed"] = gateway.stdout.split("\n").filter((line) => line === command);
    const ran = await shell(printed);
    expect(ran.stdout).toMatch(answer);
    expect(ran.code).toBe(0);
  });

  test("logs each session with its upstream, and no failure", async () => {
    const mqttClients = lines.filter(({ command }) => command.includes(" && ")).length; // two in one line
    const ended = await gateway.sessions(lines.length + mqttClients);
    expect(ended.filter((line) => line["status"] !== 200)).toEqual([]);
    const silent = ended.filter((line) => line["upstream"] === undefined); // they came for the certificate
    expect(silent.map((line) => line["code"])).toEqual(["RC_CLIENT_CLOSED", "RC_CLIENT_CLOSED"]);
    const upstreams = new Set(ended.flatMap((line) => line["upstream"] ?? []));
    expect(upstreams).toEqual(new Set(["page", "broker", "game", "lines", "greeter", "raw"]));
  });

  test("ends at once, though its upstreams live in the same process", async () => {
    expect(await gateway.stop()).toBe(0);
  });
});

test("to check the quickstart opens and writes nothing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "restyconf-check-"));
  const env = `TMPDIR=${folder} RESTYCONF_CERTS=${folder}/certs`;
  const cli = join(EXAMPLES, "../dist/cli.js");
  const { code, stderr } = await shell(`${env} ${process.execPath} ${cli} check --config ${CONFIG}`);
  expect(stderr).toMatch(/^warning: .*ssl\.certs: .*\(unless phases\.init makes it\)\n$/);
  expect({ code, files: readdirSync(folder) }).toEqual({ code: 0, files: [] });
  rmSync(folder, { recursive: true });
});

test("`npm start` starts the quickstart", () => {
  const { scripts } = JSON.parse(readFileSync(join(EXAMPLES, "../package.json"), "utf8"));
  expect(scripts.start).toBe("node dist/cli.js start --config examples/quickstart/restyconf.config.ts");
});
