import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { udp } from "../../../src/stream/socket/udp.ts";
import { eventually } from "../../support/eventually.ts";
import { closeAll, later } from "./socket-rig.ts";

afterEach(closeAll);

interface Answering {
  readonly address: string;
}

/** A UDP server that answers each datagram with those that `answers` makes of it. */
async function answering(answers: (text: string) => readonly (string | Buffer)[]): Promise<Answering> {
  const server = createSocket("udp4");
  server.on("message", (datagram, from) => {
    for (const answer of answers(datagram.toString())) server.send(answer, from.port, from.address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  later(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { address: `127.0.0.1:${server.address().port}` };
}

/** A socket that has this peer. */
async function socketTo(address: string): Promise<ReturnType<typeof udp>> {
  const socket = udp();
  later(() => socket[Symbol.dispose]());
  expect(await socket.setPeer(address)).toEqual({ ok: true });
  return socket;
}

describe("udp() (§3.12)", () => {
  test("one datagram per send, one per receive", async () => {
    const socket = await socketTo((await answering((text) => [`${text} one`, "two"])).address);
    expect(await socket.send(["pi", ["ng"], 1])).toEqual({ sent: 5 });
    expect(String((await socket.receive()).data)).toBe("ping1 one");
    expect(String((await socket.receive()).data)).toBe("two");
  });

  test("receive(size) keeps so many bytes of a datagram, at most 8192; the rest is lost", async () => {
    const answers = ["0123456789", "next", Buffer.alloc(9_000, "x")];
    const socket = await socketTo((await answering(() => answers)).address);
    await socket.send("?");
    expect(String((await socket.receive(4)).data)).toBe("0123");
    expect(String((await socket.receive()).data)).toBe("next");
    expect((await socket.receive(60_000)).data).toHaveLength(8_192);
  });

  test("an empty datagram is one, too", async () => {
    const socket = await socketTo((await answering((text) => [`[${text}]`, ""])).address);
    expect(await socket.send("")).toEqual({ sent: 0 });
    expect([String((await socket.receive()).data), (await socket.receive()).data?.length]).toEqual(["[]", 0]);
  });

  test("an ICMP message shows as `connection refused` on receive", async () => {
    const gone = createSocket("udp4").bind(0, "127.0.0.1");
    await once(gone, "listening");
    const { port } = gone.address();
    await new Promise<void>((resolve) => gone.close(() => resolve()));
    const socket = await socketTo(`127.0.0.1:${port}`);
    await socket.send("anybody?");
    expect(await socket.receive()).toEqual({ err: "connection refused" });
  });

  test("a timeout is not fatal", async () => {
    const socket = await socketTo((await answering((text) => [text])).address);
    socket.setTimeout(30);
    expect(await socket.receive()).toEqual({ err: "timeout" });
    socket.setTimeout(60_000);
    await socket.send("still there");
    expect(String((await socket.receive()).data)).toBe("still there");
    expect(() => socket.setTimeout(-1)).toThrow("bad timeout value: -1");
  });

  test("one reader at a time; close beside it is refused", async () => {
    const socket = await socketTo((await answering((text) => [text])).address);
    const first = socket.receive();
    const busy = { err: "socket busy reading" };
    expect([await socket.receive(), socket.close(), await socket.setPeer("127.0.0.1:9")]).toEqual(Array(3).fill(busy));
    await socket.send("x");
    expect(String((await first).data)).toBe("x");
  });

  test("without a peer, and after close, everything answers closed", async () => {
    const socket = udp();
    const closed = { err: "closed" };
    expect([await socket.send("x"), await socket.receive(), socket.close()]).toEqual(Array(3).fill(closed));
    await socket.setPeer("127.0.0.1:9");
    expect(socket.close()).toEqual({ ok: true });
    expect([await socket.send("x"), await socket.receive(), socket.close()]).toEqual(Array(3).fill(closed));
  });

  test("only the peer's datagrams are taken, and setPeer again is another peer", async () => {
    const [here, there] = [await answering(() => ["here"]), await answering(() => ["there"])];
    const socket = await socketTo(here.address);
    await socket.send("?");
    expect(String((await socket.receive()).data)).toBe("here");
    expect(await socket.setPeer(there.address)).toEqual({ ok: true });
    await socket.send("?");
    expect(String((await socket.receive()).data)).toBe("there");
  });

  test("names are resolved, in the words of connect", async () => {
    const server = await answering((text) => [text]);
    const socket = udp();
    later(() => socket[Symbol.dispose]());
    const [, port] = server.address.split(":");
    expect(await socket.setPeer("nosuch.invalid:53")).toEqual({
      err: "nosuch.invalid could not be resolved (3: Host not found)",
    });
    expect(await socket.setPeer("127.0.0.1:65536")).toEqual({ err: "bad port number: 65536" });
    expect(await socket.setPeer("unix:/run/x.sock")).toEqual({ err: "unix datagram sockets are not supported" });
    expect(await socket.setPeer(`localhost:${port}`)).toEqual({ ok: true });
  });

  test("datagrams that nobody receives are kept within bounds", async () => {
    const flood = Array.from({ length: 50 }, () => Buffer.alloc(1_000, "x"));
    let asked = 0;
    const answer = (): readonly Buffer[] => {
      asked++;
      return flood;
    };
    const socket = await socketTo((await answering(answer)).address);
    for (let round = 1; round <= 6; round++) {
      await socket.send("more"); // few enough for the kernel's buffer, which is emptied in between
      await eventually(() => expect(asked).toBe(round));
      for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    socket.setTimeout(100);
    let kept = 0;
    while ((await socket.receive()).data) kept++;
    expect(kept).toBeGreaterThan(50);
    expect(kept).toBeLessThan(150);
  });

  test("a signal that ends closes the socket: what waits answers `aborted`", async () => {
    const ending = new AbortController();
    const socket = udp({ signal: ending.signal });
    await socket.setPeer("127.0.0.1:9");
    const waiting = socket.receive();
    ending.abort();
    expect([await waiting, await socket.send("x")]).toEqual([{ err: "aborted" }, { err: "closed" }]);
    expect(await socket.setPeer("127.0.0.1:9")).toEqual({ err: "aborted" });
  });

  test("bind: the address to send from, or `bad address`, which throws", async () => {
    const server = createSocket("udp4").bind(0, "127.0.0.1");
    await once(server, "listening");
    later(() => server.close());
    const socket = udp({ localAddress: "127.0.0.4" });
    later(() => socket[Symbol.dispose]());
    expect(await socket.setPeer(`127.0.0.1:${server.address().port}`)).toEqual({ ok: true });
    const from = once(server, "message");
    await socket.send("x");
    expect((await from)[1]).toMatchObject({ address: "127.0.0.4" });
    expect(() => udp({ localAddress: "nonsense" })).toThrow("bad address");
  });

  test.each([0, -1, 1.5])("a size of %s throws", async (size) => {
    await expect(udp().receive(size)).rejects.toThrow(`bad size argument: ${size}`);
  });
});
