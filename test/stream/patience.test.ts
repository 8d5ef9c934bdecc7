import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Inlet } from "../../src/stream/inlet.ts";
import { Patience } from "../../src/stream/patience.ts";
import { memorySocket } from "../support/memory-socket.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A client that has sent these chunks, and how long it is waited for. */
function client(silentMs: number | undefined, ...chunks: (string | null)[]) {
  const far = memorySocket(...chunks);
  const patience = new Patience(5_000, silentMs, performance.now());
  return { far, patience, head: new Inlet(far) };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe("a silent route", () => {
  test("of 0 ms takes every client, also one that has spoken", async () => {
    const spoken = client(0, "hello");
    expect(await spoken.patience.isSilent(spoken.head)).toBe(true);
  });

  test("takes a client that has said nothing when its time is over, not before", async () => {
    const quiet = client(3_000);
    const answered = vi.fn();
    const silent = quiet.patience.isSilent(quiet.head).finally(answered);
    vi.advanceTimersByTime(2_999);
    await settle();
    expect(answered).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(await silent).toBe(true);
  });

  test("does not take a client that has spoken, however late", async () => {
    const slow = client(3_000);
    const silent = slow.patience.isSilent(slow.head);
    vi.advanceTimersByTime(2_999);
    slow.far.push("x");
    expect(await silent).toBe(false);
  });

  test("cannot be later than the whole preread", async () => {
    const quiet = client(60_000);
    const silent = quiet.patience.isSilent(quiet.head);
    vi.advanceTimersByTime(5_000);
    expect(await silent).toBe(true);
  });

  test("waits anew for the protocol inside TLS", async () => {
    const quiet = client(3_000);
    vi.advanceTimersByTime(2_999);
    quiet.patience.rearm();
    const silent = quiet.patience.isSilent(quiet.head);
    vi.advanceTimersByTime(2_999);
    quiet.far.push("x");
    expect(await silent).toBe(false);
  });
});

test("without a silent route a client that says nothing is a timeout", async () => {
  const quiet = client(undefined);
  const silent = quiet.patience.isSilent(quiet.head);
  vi.advanceTimersByTime(5_000);
  await expect(silent).rejects.toMatchObject({ code: "RC_PREREAD_TIMEOUT" });
});

test.each([undefined, 3_000])("a client that closes before its first byte is no listener (silent: %s)", async (ms) => {
  const gone = client(ms, null);
  await expect(gone.patience.isSilent(gone.head)).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
});

test("a client that resets before its first byte is no listener", async () => {
  const gone = client(3_000);
  const silent = gone.patience.isSilent(gone.head);
  gone.far.destroy();
  await expect(silent).rejects.toMatchObject({ code: "RC_CLIENT_RESET" });
});
