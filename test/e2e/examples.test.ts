import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dialTls } from "../support/client.ts";
import { run } from "../support/programs.ts";
import { EXAMPLES, Story } from "../support/story.ts";

const CLI = join(EXAMPLES, "../dist/cli.js");
const files = readdirSync(EXAMPLES).filter((name) => /\.(ts|yaml)$/.test(name) && !name.endsWith("-hooks.ts"));

/** What must be true besides the lines of the header. */
const more: Readonly<Record<string, (story: Story) => Promise<void>>> = {
  "access-list.ts": async ({ gateway }) => {
    const reasons = (await gateway.sessions(4)).map((line) => line["reason"]);
    expect(reasons).toEqual([
      undefined,
      "rejected: blocked: 127.0.0.66",
      "rejected: banned: 127.0.0.67",
      "rejected: banned by name",
    ]);
  },
  "behind-a-load-balancer.ts": async ({ gateway }) => {
    expect(await gateway.access()).toMatchObject({ remote_addr: "203.0.113.7", remote_port: 40_000 });
  },
  "certificate-per-handshake.ts": async ({ gateway }) => {
    const shown = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const socket = await dialTls(gateway.port(), { servername: "bob.example.test" });
        const { fingerprint256 } = socket.getPeerCertificate();
        socket.destroy();
        return fingerprint256;
      }),
    );
    expect(new Set(shown).size).toBe(1);
  },
  "custom-sniffer.ts": async ({ gateway }) => {
    const [known, unknown] = await gateway.sessions(2);
    expect(known).toMatchObject({ protocol: "meter", end_cause: "client_closed" });
    expect(unknown).toMatchObject({ end_cause: "rejected", reason: "rejected: not a meter" });
    expect(gateway.stdout).toContain("meter { device: '0000002a' } 15");
  },
  "failover.ts": async ({ gateway, ports }) => {
    const peers = ["7001", "7002"].map((port) => `127.0.0.1:${ports.get(port)}`);
    expect(await gateway.access()).toMatchObject({ upstream_addr: peers.join(", "), status: 200 });
    expect(gateway.stdout).toMatch(/attempt 2, since cannot connect to peer/);
  },
  "gateway.yaml": async ({ gateway }) => {
    await gateway.sessions(3);
    const lines = ["mqtt to bots: client_closed", "mqtt to players: client_closed", "unknown to nobody: rejected"];
    expect(gateway.stdout.split("\n")).toEqual(expect.arrayContaining(lines));
  },
  "sticky-players.ts": async (story) => {
    const [first, second] = await Promise.all(story.header.tries.map(({ command }) => story.run(command)));
    expect(second?.stdout).toBe(first?.stdout);
    const players = Array.from({ length: 20 }, (_, index) => String.fromCharCode(97 + index));
    const seats = players.map((player) => {
      return story.run(String.raw`printf '\x81\xa6player\xa1${player}' | nc -N 127.0.0.1 5050 | head -n 1`);
    });
    const servers = (await Promise.all(seats)).map(({ stdout }) => stdout.trim());
    expect(new Set(servers)).toEqual(new Set(["server 1", "server 2"]));
  },
};

describe.each(files)("examples/%s", (file) => {
  test("has nothing for `restyconf check` to say", async () => {
    const { code, stderr } = await run(process.execPath, [CLI, "check", join(EXAMPLES, file)]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test("does what its header says", async () => {
    await using story = await Story.start(file);
    const { tries, start } = story.header;
    expect(start).toBe(`npm start -- --config examples/${file}`);
    expect(tries).not.toEqual([]);
    for (const { command, prints } of tries) {
      const { stdout } = await story.run(command);
      if (prints.length > 0) expect(`${command}\n${normal(stdout)}`).toMatch(inOrder(prints));
    }
    await more[file]?.(story);
  });
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
