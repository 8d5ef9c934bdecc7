import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import type { BodyFilter, Filter, Filtered } from "../../../src/stream/filter/body-filter.ts";
import { joinFilters } from "../../../src/stream/filter/body-filter.ts";
import { readAll, readUntil } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { ScriptedSocket } from "../../support/scripted-socket.ts";
import { benchWith, relayWith } from "./filter-rig.ts";

const upper = (chunk: Buffer): string => chunk.toString().toUpperCase();

/** A promise to be settled from outside. */
function gate<T>(): { readonly promise: Promise<T>; open(value: T): void } {
  let open: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

/** What a peer receives of `sent`. */
async function passed(client: Filter | readonly Filter[], sent: string): Promise<string> {
  using bench = await benchWith({ client });
  bench.client.end(sent);
  bench.peer.end();
  return (await readAll(bench.peer)).toString();
}

describe("a filter returns", () => {
  test.each<[string, Filtered, string]>([
    ["undefined: the chunk goes on as it is", undefined, "abc"],
    ["null: it is dropped", null, ""],
    ["text: it takes the place of the chunk", "é", "é"],
    ["bytes: they do", Uint8Array.of(0x78), "x"],
    ["a list: all of it, in order", ["1", Buffer.from("2"), "", "3"], "123"],
    ["an empty list or text: nothing", [], ""],
  ])("%s", async (_, returned, arrives) => {
    expect(await passed(() => returned, "abc")).toBe(arrives);
    expect(await passed(async () => returned, "abc")).toBe(arrives);
  });

  test.each([
    ["a number", 1, "got number"],
    ["an object", {}, "got Object"],
    ["a list with something else in it", ["a", null], "got null"],
  ])("%s: the session ends with RC_HOOK_FAILED", async (_, returned, reason) => {
    using bench = await benchWith({ client: () => returned as unknown as Filtered });
    bench.client.write("x");
    const { error } = await bench.ended;
    expect(error).toMatchObject({ code: "RC_HOOK_FAILED", status: 500, message: expect.stringContaining(reason) });
  });
});

test.each<[string, Filter]>([
  [
    "throws",
    () => {
      throw new Error("no luck");
    },
  ],
  [
    "rejects",
    async () => {
      throw new Error("no luck");
    },
  ],
  [
    "throws at the end",
    {
      chunk: () => undefined,
      end: () => {
        throw new Error("no luck");
      },
    },
  ],
])("a filter that %s ends the session at once, on both sides", async (_, filter) => {
  using bench = await benchWith({ client: filter });
  bench.client.end("x");
  const [{ error }] = await Promise.all([bench.ended, readAll(bench.client), readAll(bench.peer)]);
  expect(error).toMatchObject({ code: "RC_HOOK_FAILED", message: "hook failed: bodyFilter: no luck" });
});

test("what was returned before a filter threw has gone", async () => {
  const filter = (chunk: Buffer): undefined => {
    if (chunk.includes("!")) throw new Error("no luck");
  };
  using bench = await benchWith({ client: filter });
  bench.client.write("good");
  await once(bench.peer, "data");
  bench.client.write("bad!");
  expect((await readAll(bench.peer)).toString()).not.toContain("bad");
});

describe("several filters of a direction", () => {
  const add = (mark: string) => (chunk: Buffer) => `${chunk}${mark}`;
  const last = (mark: string) => ({ chunk: add(mark), end: () => `(${mark})` });

  test("work one behind the other, in the order of their list", async () => {
    expect(await passed([add("1"), add("2"), add("3")], "0")).toBe("0123");
  });

  test("see what those before them return, also at the end", async () => {
    expect(await passed([last("a"), last("b")], "0")).toBe("0ab(a)b(b)");
  });

  test("are those of the gateway, then those of the server", async () => {
    const joined = joinFilters({ client: add("g") }, { client: [add("s")], upstream: add("u") });
    expect(await passed(joined?.client ?? [], "0")).toBe("0gs");
    expect(joined?.upstream).toHaveLength(1);
  });

  test("that are none at all need no relay of their own", () => {
    expect(joinFilters(undefined, {})).toBeUndefined();
    expect(joinFilters({ client: [] }, undefined)).toBeUndefined();
  });
});

describe("while a filter waits", () => {
  test("its direction stands still, in order and without growing, and the other one flows", async () => {
    const waiting = gate<undefined>();
    let calls = 0;
    using bench = await benchWith({ client: () => (calls++ === 0 ? waiting.promise : undefined), upstream: upper });
    bench.client.write("first");
    await eventually(() => expect(calls).toBe(1));
    for (let block = 0; block < 64; block++) bench.client.write(Buffer.alloc(65_536, 97 + (block % 26)));
    bench.peer.write("down");
    expect(await readUntil(bench.client, (text) => text.length === 4)).toBe("DOWN");
    expect(calls).toBe(1);
    expect(bench.relay.bytesUp).toBe(5);
    waiting.open(undefined);
    bench.client.end();
    const arrived = await readAll(bench.peer);
    expect(arrived.subarray(0, 6).toString()).toBe("firsta");
    expect(arrived.length).toBe(5 + 64 * 65_536);
  });

  test("an end waits behind it", async () => {
    const waiting = gate<string>();
    using bench = await benchWith({ client: { chunk: () => waiting.promise, end: async () => " and the end" } });
    bench.client.end("x");
    setTimeout(() => waiting.open("late"), 20);
    expect((await readAll(bench.peer)).toString()).toBe("late and the end");
  });

  test("a reset of the other side ends the session, and what it returns later is forgotten", async () => {
    const waiting = gate<string>();
    using bench = await benchWith({ client: () => waiting.promise });
    bench.client.write("x");
    bench.client.on("error", () => {});
    await eventually(() => expect(bench.relay.bytesUp).toBe(1));
    bench.peer.resetAndDestroy();
    expect(await bench.ended).toEqual({ cause: "peer_reset", error: undefined });
    waiting.open("late");
    await waiting.promise;
    expect(bench.relay.bytesDown).toBe(0);
  });

  test("the time limit of its phase holds", async () => {
    using bench = await benchWith({ client: () => new Promise(() => {}) }, { limitMs: 30 });
    bench.client.write("x");
    const { error } = await bench.ended;
    expect(error).toMatchObject({ code: "RC_HOOK_TIMEOUT", status: 500 });
  });

  test("time that it did not wait does not count", async () => {
    let calls = 0;
    const filter = async (): Promise<undefined> => {
      calls++;
      await new Promise((resolve) => setTimeout(resolve, 10));
    };
    using bench = await benchWith({ client: filter }, { limitMs: 2_500 });
    for (let round = 0; round < 5; round++) {
      bench.client.write("x");
      await once(bench.peer, "data");
      await new Promise((resolve) => setTimeout(resolve, 550)); // more than that in all
    }
    expect(calls).toBe(5);
    bench.client.end();
    bench.peer.end();
    expect((await bench.ended).error).toBeUndefined();
  });

  test("idle time runs on", async () => {
    using bench = await benchWith({ client: () => new Promise(() => {}) }, { idleTimeoutMs: 50 });
    bench.client.write("x");
    expect((await bench.ended).cause).toBe("idle_timeout");
  });
});

describe("inject", () => {
  test("sends behind what was sent, and in front of what the filter then returns", async () => {
    using bench = await benchWith({
      client: (chunk, session) => {
        session.inject("upstream", "<");
        session.inject("client", `got ${chunk.length}`);
        session.inject("upstream", Buffer.from("<"));
        return upper(chunk);
      },
    });
    bench.client.end("abc");
    expect((await readAll(bench.peer)).toString()).toBe("<<ABC");
    bench.peer.end();
    expect((await readAll(bench.client)).toString()).toBe("got 3");
    await bench.ended;
    expect([bench.relay.bytesUp, bench.relay.bytesDown]).toEqual([3, 5]); // what is on the wire
  });

  test("is past the filters", async () => {
    using bench = await benchWith({ client: (_, session) => void session.inject("client", "x"), upstream: () => null });
    bench.client.end("y");
    bench.peer.end("z");
    expect((await readAll(bench.client)).toString()).toBe("x");
  });

  test("answers false when that side has had its end", async () => {
    const answers: boolean[] = [];
    using bench = await benchWith({
      upstream: (_, session) => {
        answers.push(session.inject("upstream", "x"), session.inject("client", "y"));
      },
    });
    bench.client.end();
    await readAll(bench.peer);
    bench.peer.end("z");
    expect((await readAll(bench.client)).toString()).toBe("yz");
    expect(answers).toEqual([false, true]);
  });

  test("stops both directions while that side does not read, so that memory stays bounded", async () => {
    const answer = Buffer.alloc(16_384, "!");
    using bench = await benchWith({
      client: (_, session) => {
        session.inject("client", answer);
        return null;
      },
    });
    let moved = -1;
    let still = 0;
    while (still < 5) {
      if (bench.client.writableLength < 1_048_576) bench.client.write(Buffer.alloc(65_536));
      still = bench.relay.bytesUp === moved ? still + 1 : 0;
      moved = bench.relay.bytesUp;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(bench.held()).toBeLessThan(512 * 1_024);
    bench.client.end();
    bench.peer.end();
    const got = await readAll(bench.client);
    await bench.ended;
    expect(got.length).toBe(bench.relay.bytesDown);
    expect(got.length % answer.length).toBe(0);
  });

  test.each([
    ["no side", ["server", "x"], "no side is called server"],
    ["no bytes", ["client", 5], "expected text or a Uint8Array, got number"],
  ])("throws on %s", async (_, [side, bytes], reason) => {
    const filter: BodyFilter = {
      client: (_chunk, session) => void session.inject(side as "client", bytes as unknown as string),
    };
    using bench = await benchWith(filter);
    bench.client.write("x");
    expect((await bench.ended).error?.message).toContain(reason);
  });
});

describe("end", () => {
  test("sends what the filter still returns, then the end, to both sides", async () => {
    using bench = await benchWith({
      client: (chunk, session) => {
        session.inject("client", "bye");
        session.end();
        return chunk.subarray(0, 4);
      },
    });
    bench.client.write("quit and all that follows");
    const [client, peer] = await Promise.all([readAll(bench.client), readAll(bench.peer)]);
    expect([client.toString(), peer.toString()]).toEqual(["bye", "quit"]);
    bench.client.end();
    bench.peer.end();
    expect((await bench.ended).error).toMatchObject({ code: "RC_EXITED", status: 200 });
  });

  test("waits for a filter of the other direction, and asks both for last bytes", async () => {
    const waiting = gate<string>();
    let asked = false;
    using bench = await benchWith({
      client: {
        chunk: (_, session) => {
          session.end();
          return "x";
        },
        end: () => "up end",
      },
      upstream: {
        chunk: () => {
          asked = true;
          return waiting.promise;
        },
        end: async () => " down end",
      },
    });
    bench.peer.write("answer");
    await eventually(() => expect(asked).toBe(true));
    bench.client.write("quit");
    setTimeout(() => waiting.open("late"), 30);
    const [client, peer] = await Promise.all([readAll(bench.client), readAll(bench.peer)]);
    expect([client.toString(), peer.toString()]).toEqual(["late down end", "xup end"]);
  });

  test("does not wait for sides that go on talking", async () => {
    using bench = await benchWith({ client: (_, session) => session.end() });
    bench.client.on("error", () => {});
    const talk = setInterval(() => bench.client.write("more"), 5);
    bench.client.resume();
    bench.peer.resume();
    const { error } = await bench.ended;
    clearInterval(talk);
    expect(error?.code).toBe("RC_EXITED");
  });
});

test("a session that is drained sends what it has read through its filters first", async () => {
  const waiting = gate<undefined>();
  let asked = 0;
  const filter = async (chunk: Buffer): Promise<string> => {
    if (asked++ === 0) await waiting.promise;
    return upper(chunk);
  };
  using bench = await benchWith({ client: { chunk: filter, end: () => "." } });
  bench.client.write("a");
  await eventually(() => expect(asked).toBe(1));
  bench.client.write("b");
  await eventually(() => expect(bench.unread()).toBe(1)); // read from the kernel, seen by nobody
  bench.relay.end("drained");
  waiting.open(undefined);
  expect((await readAll(bench.peer)).toString()).toBe("AB.");
  bench.peer.end();
  bench.client.end();
  expect(await bench.ended).toEqual({ cause: "drained", error: undefined });
});

test("a chunk that filters answer at once costs no promise", async () => {
  const weather = { pauses: [0], lags: [0], room: 1_048_576 };
  const [client, peer] = [new ScriptedSocket(weather), new ScriptedSocket(weather)];
  let seen = 0;
  let promises = 0;
  const hook = createHook({
    init: (_, type) => {
      if (type === "PROMISE") promises++;
    },
  });
  const chunks = 100;
  const counting: Filter = () => {
    seen++;
    if (seen === 2) hook.enable(); // the first has shown that the relay runs
    if (seen === chunks) hook.disable();
  };
  relayWith(client, peer, { client: [counting, () => undefined, (chunk) => chunk, (chunk) => [chunk]] });
  for (let chunk = 0; chunk < chunks; chunk++) client.push("x");
  await eventually(() => expect(seen).toBe(chunks));
  expect(promises).toBe(0);
});
