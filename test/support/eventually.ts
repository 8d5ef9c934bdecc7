import { setTimeout as sleep } from "node:timers/promises";

/** Waits until `check` passes, asking every few milliseconds; after the deadline its last failure is the test's. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 20_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (cause) {
      if (performance.now() > deadline) throw cause;
    }
    await sleep(10);
  }
}
