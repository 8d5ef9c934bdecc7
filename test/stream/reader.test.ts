import { afterEach, describe, expect, test } from "vitest";
import type { Received, ReceivedFrame, RunEnd } from "../../src/stream/reader.ts";
import { all, closeReaders, connected, netstring, reading, said, withClient } from "./reader-rig.ts";

afterEach(closeReaders);

describe("one reader at a time (§3.6)", () => {
  test("a second read answers 'socket busy reading' at once, whatever both are", async () => {
    const { reader, far } = withClient();
    const reads: (() => Promise<Received | RunEnd | ReceivedFrame<string>>)[] = [
      () => reader.receive(),
      () => reader.receive("*a"),
      () => reader.receive(0),
      () => reader.receiveAny(1),
      () => reader.receiveUntil(";")(),
      () => reader.peek(1),
      () => reader.receiveFrame(netstring),
    ];
    const first = reader.receive(3);
    for (const read of reads) expect(said(await read())).toBe("socket busy reading []");
    far.push("abc");
    expect(said(await first)).toBe("abc");
  });

  test("the reader is free again after each kind of answer", async () => {
    const reader = reading("!\n", null);
    await expect(reader.receiveFrame(netstring)).rejects.toThrow();
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(),
        () => reader.receive(),
      ),
    ).toEqual([...["!", "closed []", "closed []"]]);
  });
});

describe("over a real connection", () => {
  test("a reset answers 'connection reset by peer' with what had come; then closed (§3.2)", async () => {
    const { reader, far } = await connected();
    far.write("part");
    expect(said(await reader.peek(4))).toBe("part");
    const read = reader.receive();
    far.resetAndDestroy();
    expect(said(await read)).toBe("connection reset by peer [part]");
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive("*a"),
        () => reader.receiveAny(1),
      ),
    ).toEqual([...["closed []", "closed []", "closed []"]]);
  });

  test("after the client's end its reading half still takes bytes (§3.2: only the read half is finished)", async () => {
    const { reader, near, far } = await connected();
    far.end("bye\n");
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(),
      ),
    ).toEqual(["bye", "closed []"]);
    near.end("answer");
    const chunks: Buffer[] = [];
    for await (const chunk of far) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("answer");
  });

  test("data handed out stays the same while later bytes arrive", async () => {
    const { reader, far } = await connected();
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index} ${"x".repeat(index)}`);
    far.end(lines.map((line) => `${line}\n`).join(""));
    const received: Buffer[] = [];
    for (let result = await reader.receive(); result.data; result = await reader.receive()) received.push(result.data);
    expect(received.map(String)).toEqual(lines);
  });

  test("a delimiter in 8 MiB is found in linear time, byte sequences like it on the way", async () => {
    const { reader, far } = await connected();
    const noise = Buffer.alloc(8_388_608, "ab");
    far.end(Buffer.concat([noise, Buffer.from("abc")]));
    const began = performance.now();
    const { data } = await reader.receiveUntil("ababababababc", { maxBytes: 16_777_216 })();
    expect(data?.length).toBe(noise.length + 3 - 13);
    expect(performance.now() - began).toBeLessThan(30_000); // looking at all again with each chunk would take far longer
  });
});
