import { mkdtempSync, rmSync } from "node:fs";
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

  test("logs each session with its protocol and its upstream, and no error", async () => {
    const ended = await gateway.sessions(lines.length);
    const upstreams = new Set(ended.map((line) => line["upstream"]));
    expect(upstreams).toEqual(new Set(["page", "broker", "game", "lines", "greeter", "raw"]));
  });

  test("ends at once, though its upstreams live in the same process", async () => {
    expect(await gateway.stop()).toBe(0);
  });
});
