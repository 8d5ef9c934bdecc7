import { describe, expect, test } from "vitest";
import { content, defineGateway, on, otherwise, proxy, reject } from "../../src/index.ts";
import { ssh } from "../../src/preread/index.ts";
import { echo, end, type Party, RunError, receive, reset, runSession, send, wait } from "../../src/testing/index.ts";

const config = defineGateway({
  upstreams: { game: { peers: ["10.0.0.1:7000"] } },
  servers: { edge: { listen: "127.0.0.1:5050", routes: [on(ssh(), reject("no")), otherwise(proxy("game"))] } },
});

/** Waits for bytes without an end of its own. */
const patient = defineGateway({
  servers: {
    edge: {
      listen: "127.0.0.1:5050",
      routes: [
        otherwise(
          content(({ signal }) => new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))),
        ),
      ],
    },
  },
});

/** What a run rejects with. */
async function failureOf(run: Promise<unknown>): Promise<Error> {
  return run.then(
    () => expect.fail("the run has not failed"),
    (cause) => cause,
  );
}

describe("a run that cannot end", () => {
  test("says who waits for what, and what had happened", async () => {
    const error = await failureOf(runSession(patient, { client: [send("ping"), receive("pong")] }));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message.split("\n")).toEqual([
      'nothing goes on any more; client waits for "pong"; the session is in its phase content',
      '       0 ms  client → gateway: "ping"',
      "       0 ms  gateway: content",
    ]);
  });

  test("is given up when its time is over", async () => {
    const ticking = (party: Party) => {
      setInterval(() => {}, 60_000);
      return party.receive("pong");
    };
    const error = await failureOf(runSession(patient, { client: ticking }));
    expect(error.message).toContain("the run has not ended within 3600000 ms of its clock");
    const short = await failureOf(runSession(config, { client: wait(2_000), limitMs: 1_000 }));
    expect(short.message).toContain("the run has not ended within 1000 ms of its clock");
  });

  test("is given up when a timer fires without end", async () => {
    const ticking = (party: Party) => {
      setInterval(() => {}, 1);
      return party.receive("pong");
    };
    const error = await failureOf(runSession(patient, { client: ticking }));
    expect(error.message).toContain("the run has not ended after 100000 timers");
  });

  test("is given up even where a hook outlives its session", async () => {
    const stuck = { ...config, phases: { init: () => new Promise<void>(() => {}) } };
    const error = await failureOf(runSession(stuck));
    expect(error.message).toBe("nothing goes on any more\nnothing had happened");
  });

  test("leaves the clock of the process as it was, and the next run in peace", async () => {
    const began = Date.now();
    await failureOf(runSession(patient, { client: receive("pong") }));
    expect(Date.now() - began).toBeLessThan(10_000);
    const run = await runSession(config, { client: [send("x"), receive("x"), end()], peers: { game: echo() } });
    expect(run.line.status).toBe(200);
  });
});

describe("a script that gets something else", () => {
  const saying = (text: string) => ({ peers: { game: [send(text), end()] } });

  test.each([
    ["other bytes", 'client expected "pong", and got "ping"', [send("x"), receive("pong")], saying("ping")],
    [
      "less",
      'client waited for "pong", and the gateway has ended after "po"',
      [send("x"), receive("pong")],
      saying("po"),
    ],
    [
      "too few",
      'client waited for 9 bytes, and the gateway has ended after "po"',
      [send("x"), receive(9)],
      saying("po"),
    ],
    [
      "no delimiter",
      'client waited for all up to "\\n", and the gateway has ended after "po"',
      [send("x"), (party: Party) => party.receiveUntil("\n")],
      saying("po"),
    ],
    [
      "a reset",
      'client waited for 1 bytes, and the gateway has reset after ""',
      [send("x"), receive(1)],
      { peers: { game: reset() } },
    ],
    [
      "nothing, as peer",
      '10.0.0.1:7000 waited for 9 bytes, and the gateway has ended after "x"',
      [send("x"), end()],
      { peers: { game: receive(9) } },
    ],
  ])("%s", async (_, message, client, peers) => {
    const error = await failureOf(runSession(config, { client, ...peers }));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message.split("\n")[0]).toBe(message);
  });

  test("waits for one thing at a time", async () => {
    const both = (party: Party) => Promise.all([party.receive(1), party.receive(2)]);
    const error = await failureOf(runSession(config, { client: both, peers: { game: [] } }));
    expect(error.message).toMatch(/^client waits for 1 bytes and for 2 bytes at once\n/);
  });
});

test("what a script throws, the run rejects with as it is", async () => {
  const cause = new Error("no luck");
  const fail = () => {
    throw cause;
  };
  expect(await failureOf(runSession(config, { client: fail }))).toBe(cause);
  expect(await failureOf(runSession(config, { client: [send("x"), receive("x")], peers: { game: fail } }))).toBe(cause);
});

test("a script reads what comes as it likes", async () => {
  const said: string[] = [];
  const client = async (party: Party) => {
    await party.send("a");
    said.push(String(await party.receiveUntil("\n")), String(await party.receive(2)), String(await party.receive()));
    said.push(String(await party.receiveAll()), String(await party.receive()));
  };
  const peer = [receive("a"), send("one\ntwo"), wait(5), send("three"), end()];
  await runSession(config, { client, peers: { game: peer } });
  expect(said).toEqual(["one\n", "tw", "o", "three", ""]);
});

test("who has played its script stays, and answers the gateway's end with its own", async () => {
  const run = await runSession(config, { client: send("x"), peers: { game: [receive("x"), wait(500), end()] } });
  expect(run.line).toMatchObject({ end_cause: "peer_closed", session_time: 0.5 });
});

test("a reset on one side is a reset on the other", async () => {
  const byClient = await runSession(config, { client: [send("x"), wait(5), reset()], peers: { game: echo() } });
  expect(byClient.line.end_cause).toBe("client_reset");
  expect(byClient.transcript).toContainEqual({ atMs: 5, kind: "reset", from: "gateway", to: "10.0.0.1:7000" });
  const byPeer = await runSession(config, { client: send("x"), peers: { game: [receive("x"), reset()] } });
  expect(byPeer.line.end_cause).toBe("peer_reset");
  expect(byPeer.transcript).toContainEqual({ atMs: 0, kind: "reset", from: "gateway", to: "client" });
});

test("what a side does not read waits, in order", async () => {
  const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251));
  const client = [send(bytes), end()];
  const run = await runSession(config, { client, peers: { game: echo() } });
  expect(run.toPeer("game").equals(bytes) && run.toClient.equals(bytes)).toBe(true);
  expect(run.line).toMatchObject({ bytes_received: 1_000_000, bytes_sent: 1_000_000 });
});

test("the transcript reads well", async () => {
  const client = [send("PING\r\n"), receive("PING\r\n"), wait(3_000), end()];
  const run = await runSession(config, { client, peers: { game: echo() } });
  expect(run.text.split("\n")).toEqual([
    '       0 ms  client → gateway: "PING\\r\\n"',
    "       0 ms  gateway → 10.0.0.1:7000: connected",
    '       0 ms  gateway → 10.0.0.1:7000: "PING\\r\\n"',
    '       0 ms  10.0.0.1:7000 → gateway: "PING\\r\\n"',
    '       0 ms  gateway → client: "PING\\r\\n"',
    "    3000 ms  client → gateway: end",
    "    3000 ms  gateway → 10.0.0.1:7000: end",
    "    3000 ms  10.0.0.1:7000 → gateway: end",
    "    3000 ms  gateway → client: end",
  ]);
  const long = await runSession(config, { client: [send("x".repeat(100)), end()], peers: { game: [] } });
  expect(long.text.split("\n")[0]).toBe(`       0 ms  client → gateway: "${"x".repeat(64)}…" (100 bytes)`);
});
