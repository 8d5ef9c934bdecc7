import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureCertificates } from "../../examples/quickstart/certificates.ts";
import { exchange } from "../support/client.ts";
import { run } from "../support/programs.ts";
import { freePorts, Service } from "../support/service.ts";
import { EXAMPLES, Story } from "../support/story.ts";
import { facts } from "./example-facts.ts";

const CLI = join(EXAMPLES, "../dist/cli.js");
const files = readdirSync(EXAMPLES).filter(
  (name) => /\.(ts|yaml)$/.test(name) && !/-hooks\.ts$|\.test\.ts$/.test(name),
);

const certs = mkdtempSync(join(tmpdir(), "restyconf-check-"));

beforeAll(async () => {
  await ensureCertificates(certs);
  copyFileSync(join(certs, "default.crt"), join(certs, "ann.pem")); // whose certificate does not matter here
});

afterAll(() => rmSync(certs, { recursive: true }));

describe.each(files)("examples/%s", (file) => {
  test("has nothing for `restyconf check` to say", async () => {
    const checked = await run("env", [`CERTS=${certs}`, process.execPath, CLI, "check", join(EXAMPLES, file)]);
    expect(checked).toMatchObject({ code: 0, stderr: "" });
  });

  test("does what its header says", async () => {
    await using story = await Story.start(file);
    const { tries, start } = story.header;
    expect(start).toBe(`npm start -- --config examples/${file}`);
    expect(tries).not.toEqual([]);
    for (const { command, prints } of tries) {
      const { code, stdout } = await story.run(command);
      expect({ command, code }).toEqual({ command, code: 0 });
      if (prints.length > 0) expect(`${command}\n${normal(stdout)}`).toMatch(inOrder(prints));
    }
    await facts[file]?.(story);
  });
});

test("`npm start` takes another configuration than the quickstart's", async () => {
  const { scripts } = JSON.parse(readFileSync(join(EXAMPLES, "../package.json"), "utf8"));
  const [port = 0] = await freePorts(1);
  const command = `env LISTEN=127.0.0.1:${port} ${scripts.start} --config examples/line-service.ts`; // what `--` makes of it
  await using _gateway = await Service.start(command);
  expect(await exchange(port, "quit\n")).toBe("ready\nbye\n");
});

test("the table of examples has them all, each with its command", () => {
  const table = readFileSync(join(EXAMPLES, "README.md"), "utf8");
  const commands = [...table.matchAll(/`npm start -- --config examples\/([^`]+)`/g)].map(([, file]) => file);
  expect(commands.sort()).toEqual(files.sort());
});

/** OpenSSL writes `CN=name` or `CN = name`, depending on its version. */
function normal(text: string): string {
  return text.replaceAll(" = ", "=");
}

/** Whole lines in this order, where `…` stands for any text. */
function inOrder(lines: readonly string[]): RegExp {
  const escaped = lines.map((line) =>
    normal(line)
      .replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll("…", ".*"),
  );
  return new RegExp(escaped.map((line) => `^\\s*${line}$`).join("[^]*"), "m");
}
