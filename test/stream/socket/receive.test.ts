import { afterEach, describe, expect, test } from "vitest";
import {
  closeAll,
  heard,
  later,
  onlyClient,
  said,
  saying,
  saysAndStays,
  serving,
  silent,
  socketTo,
} from "./socket-rig.ts";

afterEach(closeAll);

describe("receive() (§3.2)", () => {
  test("no argument or *l: up to LF; LF and all CRs, anywhere in the line, are dropped", async () => {
    const socket = await socketTo((await saying("a\rb\r\n\nrest\r\n")).address);
    expect([said(await socket.receive()), said(await socket.receive("*l"))]).toEqual(["ab", ""]);
    expect(said(await socket.receive(4))).toBe("rest"); // bytes after LF stay buffered
  });

  test("EOF before LF answers closed with the partial line without CRs; the next receive just closed", async () => {
    const socket = await socketTo((await saying("par\rt")).address);
    expect([said(await socket.receive()), said(await socket.receive())]).toEqual(["closed [part]", "closed []"]);
  });

  test("*a gives all bytes until EOF, CR kept, and after it an empty text again and again", async () => {
    const socket = await socketTo((await saying("one\r\ntwo\r\n")).address);
    expect(said(await socket.receive())).toBe("one"); // mixed after line reads: only the rest
    expect([said(await socket.receive("*a")), said(await socket.receive("*a"))]).toEqual(["two\r\n", ""]);
    expect(said(await socket.receive("*a"))).toBe("");
  });

  test("*a of nothing is an empty text", async () => {
    const socket = await socketTo((await saying("")).address);
    expect(said(await socket.receive("*a"))).toBe("");
  });

  test("a number, also as text: exactly so many bytes; EOF early is closed with what came", async () => {
    const socket = await socketTo((await saying("0123456789abc")).address);
    expect([said(await socket.receive(4)), said(await socket.receive("6"))]).toEqual(["0123", "456789"]);
    expect([said(await socket.receive(5)), said(await socket.receive(1))]).toEqual(["closed [abc]", "closed []"]);
  });

  test("0 is an empty text at once, without touching the socket; but closed on a closed one", async () => {
    const socket = await socketTo((await silent()).address);
    expect(said(await socket.receive(0))).toBe("");
    socket.close();
    expect(said(await socket.receive(0))).toBe("closed []");
  });

  test.each(["*x", "l", "", -1, 1.5])("%j as the pattern throws", async (pattern) => {
    const socket = await socketTo((await silent()).address);
    await expect(socket.receive(pattern as "*l")).rejects.toThrow(/^bad (pattern|size) argument/);
  });

  test("a timeout gives the partial bytes and consumes them; the connection stays usable and goes on behind them", async () => {
    const { server, socket } = await heard("hel");
    socket.setTimeout(60);
    expect(said(await socket.receive(5))).toBe("timeout [hel]");
    expect(said(await socket.receive(5))).toBe("timeout []");
    (await onlyClient(server)).write("lo world\n");
    socket.setTimeouts({});
    expect(said(await socket.receive())).toBe("lo world");
  });

  test("a timeout inside *a is not its end", async () => {
    const { socket } = await heard("some");
    socket.setTimeout(60);
    expect(said(await socket.receive("*a"))).toBe("timeout [some]");
  });

  test("a reset answers connection reset by peer with what came, and closes the read half", async () => {
    const { server, socket } = await heard("half a li");
    const line = socket.receive();
    (await onlyClient(server)).resetAndDestroy();
    expect(said(await line)).toBe("connection reset by peer [half a li]");
    expect(said(await socket.receive())).toBe("closed []");
  });

  test("the timer is an idle timer: a trickle keeps the read alive", async () => {
    const server = await serving((client) => {
      let left = 60;
      const trickle = setInterval(() => (left-- > 0 ? client.write("x") : clearInterval(trickle)), 50);
      client.once("close", () => clearInterval(trickle));
    });
    const socket = await socketTo(server.address, { readMs: 2_500 });
    expect(said(await socket.receive(60))).toBe("x".repeat(60)); // 3 s in all
  });

  test("a line without end is an error, not a memory leak", async () => {
    const socket = await socketTo((await saysAndStays("x".repeat(100))).address);
    expect(said(await socket.receive("*l", { maxBytes: 10 }))).toBe("line too long [xxxxxxxxxx]");
  });
});

describe("receiveUntil(pattern, options) (§3.3)", () => {
  test.each([
    ["abcabd", "abcabcabd", "abc"],
    ["aa", "abcabcaad", "abcabc"],
    ["abcabdabcabe", "ababcabdabcabe", "ab"],
    ["--abc", "----abc", "--"],
  ])("an ambiguous prefix needs real matching: %s in %s gives %s", async (pattern, text, expected) => {
    const socket = await socketTo((await saysAndStays(text)).address);
    expect(said(await socket.receiveUntil(pattern)())).toBe(expected);
  });

  test("inclusive appends the delimiter; without it, it is consumed all the same", async () => {
    const socket = await socketTo((await saying("one|two|three")).address);
    expect(said(await socket.receiveUntil("|", { inclusive: true })())).toBe("one|");
    const until = socket.receiveUntil(Buffer.from("|"));
    expect([said(await until()), said(await until())]).toEqual(["two", "closed [three]"]);
  });

  test("with a size it gives chunks, then once neither data nor error, then starts anew", async () => {
    const socket = await socketTo((await saysAndStays("hello, world ----abcnext--abc")).address);
    const until = socket.receiveUntil("--abc");
    const chunks: (string | undefined)[] = [];
    for (let at = 0; at < 7; at++) chunks.push((await until(4)).data?.toString());
    expect(chunks.slice(0, 5).join("")).toBe("hello, world --");
    expect(chunks.slice(4)).toContain(undefined);
  });

  test("several iterators and plain receives can be interleaved on one socket", async () => {
    const socket = await socketTo((await saysAndStays("a;b,c;line\nd,")).address);
    const [semicolon, comma] = [socket.receiveUntil(";"), socket.receiveUntil(",")];
    const results = [await semicolon(), await comma(), await semicolon(), await socket.receive(), await comma()];
    expect(results.map(said)).toEqual(["a", "b", "c", "line", "d"]);
  });

  test("a timeout keeps the match: the same iterator goes on where it was", async () => {
    const { server, socket } = await heard("data--");
    socket.setTimeout(60);
    const until = socket.receiveUntil("--end");
    expect(said(await until())).toBe("timeout [data]");
    (await onlyClient(server)).write("end");
    socket.setTimeouts({});
    expect(said(await until())).toBe("");
  });

  test("an empty pattern answers `pattern is empty`", async () => {
    const socket = await socketTo((await silent()).address);
    expect(said(await socket.receiveUntil("")())).toBe("pattern is empty []");
  });

  test("an inclusive that is no boolean throws", async () => {
    const socket = await socketTo((await silent()).address);
    const inclusive = "yes" as unknown as boolean;
    expect(() => socket.receiveUntil("x", { inclusive })).toThrow('bad "inclusive" option value type: string');
  });
});

describe("receiveAny(max) (§3.4)", () => {
  test("what is there, at most max; the remainder stays buffered: 11 bytes, 7 and then 4", async () => {
    const socket = await socketTo((await saying("hello world")).address);
    expect([said(await socket.receiveAny(7)), said(await socket.receiveAny(7))]).toEqual(["hello w", "orld"]);
    expect(said(await socket.receiveAny(7))).toBe("closed []");
  });

  test("a timeout is not fatal", async () => {
    const server = await silent();
    const socket = await socketTo(server.address, { readMs: 60 });
    expect(said(await socket.receiveAny(1))).toBe("timeout []");
    (await onlyClient(server)).write("x");
    socket.setTimeouts({});
    expect(said(await socket.receiveAny(1))).toBe("x");
  });

  test.each([0, -1, undefined])("%s as max throws", async (max) => {
    const socket = await socketTo((await silent()).address);
    await expect(socket.receiveAny(max as number)).rejects.toThrow("bad max argument");
  });
});

describe("halves and lifetime (§1.7, §3.6, §3.7)", () => {
  test("after a read saw EOF, send still works, and close answers ok", async () => {
    const heard: Buffer[] = [];
    const server = await serving((client) => {
      client.on("data", (chunk: Buffer) => heard.push(chunk));
      client.end("bye\n");
    });
    const socket = await socketTo(server.address);
    expect([said(await socket.receive()), said(await socket.receive())]).toEqual(["bye", "closed []"]);
    expect(await socket.send("still here")).toEqual({ sent: 10 });
    expect(socket.close()).toEqual({ ok: true });
  });

  test("shutdown sends the end, the peer may go on sending; a second one is `already shutdown`, sending is closed", async () => {
    const server = await serving((client) => client.on("end", () => client.end("after your end\n")).resume());
    const socket = await socketTo(server.address);
    expect(socket.shutdown("send")).toEqual({ ok: true });
    expect(said(await socket.receive())).toBe("after your end");
    expect([await socket.send("x"), socket.shutdown("send")]).toEqual([{ err: "closed" }, { err: "already shutdown" }]);
    expect(() => socket.shutdown("receive" as "send")).toThrow("bad shutdown argument: receive");
  });

  test("everything on a closed socket answers closed", async () => {
    const socket = await socketTo((await silent()).address);
    expect(socket.close()).toEqual({ ok: true });
    const closed = { err: "closed" };
    expect([await socket.receive(), await socket.receiveAny(1)]).toEqual([
      { ...closed, partial: Buffer.alloc(0) },
      { ...closed, partial: Buffer.alloc(0) },
    ]);
    expect((await socket.receiveUntil("x")()).err).toBe("closed");
    expect([await socket.send("x"), socket.shutdown("send"), socket.close()]).toEqual([closed, closed, closed]);
    expect([await socket.setKeepalive(), socket.getReusedTimes(), await socket.sslHandshake()]).toEqual([
      closed,
      closed,
      closed,
    ]);
    expect([socket.getSslSession(), socket.setOption("keepalive", 1), socket.getOption("keepalive")]).toEqual([
      closed,
      closed,
      closed,
    ]);
  });

  test("a second reader, and a close beside a reader, is `socket busy reading`; the first is not disturbed", async () => {
    const server = await silent();
    const socket = await socketTo(server.address);
    const first = socket.receive();
    expect([
      (await socket.receive()).err,
      (await socket.receiveAny(1)).err,
      (await socket.receiveUntil("x")()).err,
    ]).toEqual(Array(3).fill("socket busy reading"));
    expect([socket.close(), await socket.setKeepalive()]).toEqual(Array(2).fill({ err: "socket busy reading" }));
    expect(await socket.sslHandshake()).toEqual({ err: "socket busy reading" });
    expect(await socket.send("full duplex")).toEqual({ sent: 11 });
    (await onlyClient(server)).write("line\n");
    expect(said(await first)).toBe("line");
  });

  test("a signal that ends gives up what waits, closes the socket, and what is opened later is aborted at once", async () => {
    const ending = new AbortController();
    const server = await silent();
    const socket = await socketTo(server.address, { signal: ending.signal });
    const client = await onlyClient(server);
    const gone = new Promise((resolve) => client.once("end", resolve));
    const line = socket.receive();
    ending.abort();
    expect(said(await line)).toBe("aborted []");
    expect(await socket.send("x")).toEqual({ err: "closed" });
    await gone;
    await expect(socketTo(server.address, { signal: ending.signal })).rejects.toThrow("connect: aborted");
  });

  test("a hundred sockets of one signal end with it, and none of them warns of its listeners", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warn);
    later(() => process.off("warning", warn));
    const ending = new AbortController();
    const server = await silent();
    const sockets = await Promise.all(
      Array.from({ length: 100 }, () => socketTo(server.address, { signal: ending.signal })),
    );
    const reads = sockets.map((socket) => socket.receive());
    ending.abort();
    expect(new Set((await Promise.all(reads)).map(said))).toEqual(new Set(["aborted []"]));
    expect(warnings).toEqual([]);
  });
});
