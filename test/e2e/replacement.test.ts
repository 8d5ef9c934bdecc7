import { describe, expect, test } from "vitest";
import { dialIn } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell, turn } from "../support/operated.ts";
import { ask, change, config, gone, hold, load, oneOfEach, put, write } from "../support/workers.ts";

// What is asked for, or happens, while processes are put in the place of the workers, one after the other.

/** Where its number and generation have a file, a worker waits for another one. */
const phases = `initWorker: async ({ number, generation }) => {
  if (!there("hold-" + number + "-" + generation)) return;
  told({ waits: number, of: generation });
  await until(() => there("go"));
}`;

const first = config({ phases });

/** Begins to replace the workers, and comes as far as the one with this number. */
async function replaceUpTo(gateway: Gateway, number: number, of: number): Promise<void> {
  put(gateway, `hold-${number}-${of}`);
  gateway.process.kill("SIGUSR2");
  await gateway.line((line) => line["waits"] === number && line["of"] === of);
}

const replacements = (gateway: Gateway): readonly unknown[] =>
  gateway.log.flatMap(({ msg }) => (String(msg).startsWith("replacement ") ? [msg] : []));

/** Each worker is another process than before, and serves this generation. */
async function allNew(gateway: Gateway, before: ReadonlySet<number>, generation: number, workers = 2): Promise<void> {
  const after = await oneOfEach(gateway.port(), workers);
  for (const answer of after) {
    expect(answer).toMatchObject({ generation });
    expect(before.has(answer.pid)).toBe(false);
    answer.socket.destroy();
  }
}

async function pidsOf(gateway: Gateway, workers = 2): Promise<ReadonlySet<number>> {
  const sessions = await oneOfEach(gateway.port(), workers);
  for (const { socket } of sessions) socket.destroy();
  return new Set(sessions.map(({ pid }) => pid));
}

async function tryOut(gateway: Gateway, text: string): Promise<void> {
  write(gateway, text);
  expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
}

describe("while workers are replaced", () => {
  test("a rollback drops what is tried out at once, and no client is refused", async () => {
    await using gateway = await Gateway.start(first);
    const before = await pidsOf(gateway);
    const stop = load(gateway.port());
    await tryOut(gateway, first);
    await replaceUpTo(gateway, 0, 1);
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0, stdout: "rolled back: generation 1\n" });
    expect(replacements(gateway)).toEqual([]);
    put(gateway, "go");
    expect(await gateway.line((line) => line["msg"] === "replacement done")).toMatchObject({ generation: 1 });
    await allNew(gateway, before, 1);
    expect(await stop()).toBeGreaterThan(20);
  });

  test("a rollback does so, too, while a new one gets ready for what is tried out", async () => {
    await using gateway = await Gateway.start(config());
    const before = await pidsOf(gateway);
    const stop = load(gateway.port());
    await tryOut(gateway, first);
    await replaceUpTo(gateway, 0, 2);
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0, stdout: "rolled back: generation 1\n" });
    await gateway.line((line) => line["msg"] === "replacement done");
    expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
    await allNew(gateway, before, 1);
    expect(await stop()).toBeGreaterThan(20);
  });

  test("what is tried out and fails is dropped at once, and no client is refused", async () => {
    await using gateway = await Gateway.start(first);
    const before = await pidsOf(gateway);
    const stop = load(gateway.port());
    await tryOut(gateway, first);
    await replaceUpTo(gateway, 0, 1);
    const failing = await eventually(async () => {
      const session = await hold(dialIn(gateway.port()));
      if (session.generation !== 2) session.socket.destroy();
      expect(session.generation).toBe(2);
      return session;
    });
    await ask(failing.socket, "throw");
    await gateway.line((line) => line["msg"] === "canary fails");
    await gateway.line((line) => line["msg"] === "rollback done");
    expect(replacements(gateway)).toEqual([]);
    put(gateway, "go");
    await gateway.line((line) => line["msg"] === "replacement done");
    await allNew(gateway, before, 1);
    expect(await stop()).toBeGreaterThan(20);
    failing.socket.destroy();
  });

  test.each([
    ["the first is about to", 2, 0],
    ["one is about to come that is too many", 1, 1],
    ["others are to come that are too many", 1, 0],
    ["one is to come that lacks", 3, 0],
  ])("a rollback goes back to the configuration before while %s, and no client is refused", async (_, workers, at) => {
    await using gateway = await Gateway.start(config({ phases, workers: Math.max(workers, 2) }));
    if (workers < 2)
      expect(await change(gateway, "SIGHUP", config({ phases, workers }))).toMatchObject({ generation: 2 });
    const serving = workers < 2 ? 2 : 1;
    const stop = load(gateway.port());
    expect(await change(gateway, "SIGHUP", first)).toMatchObject({ msg: "reload done", generation: serving + 1 });
    const before = await pidsOf(gateway);
    await replaceUpTo(gateway, at, serving + 1);
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0, stdout: `rolled back: generation ${serving}\n` });
    put(gateway, "go");
    expect(await gateway.line((line) => /^replacement /.test(String(line["msg"])))).toMatchObject({
      msg: "replacement done",
    });
    await allNew(gateway, before, serving, workers);
    expect(await stop()).toBeGreaterThan(20);
  });

  test("a reload waits until they are", async () => {
    await using gateway = await Gateway.start(first);
    await replaceUpTo(gateway, 0, 1);
    gateway.process.kill("SIGHUP");
    await turn(gateway);
    put(gateway, "go");
    await gateway.line((line) => line["msg"] === "reload done");
    const done = gateway.log.map(({ msg }) => String(msg)).filter((msg) => msg.endsWith(" done"));
    expect(done).toEqual(["replacement done", "reload done"]);
  });

  test.each(["SIGTERM", "SIGQUIT"] as const)("%s ends the gateway", async (signal) => {
    await using gateway = await Gateway.start(first);
    const sessions = await oneOfEach(gateway.port());
    await replaceUpTo(gateway, 1, 1);
    const closed = sessions.map(({ socket }) => gone(socket));
    if (signal === "SIGQUIT") for (const { socket } of sessions) socket.end();
    expect(await gateway.stop(signal)).toBe(0);
    await Promise.all(closed);
    expect(replacements(gateway)).not.toContain("replacement done");
  });
});
