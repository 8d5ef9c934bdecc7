/** The longest delay that Node keeps: a longer one would end at once. */
const MAX_SLEEP_MS = 2_147_483_647;

/**
 * Waits `ms` milliseconds, or until `signal` aborts; 0 lets everything else run first. Any phase. OpenResty: `ngx.sleep`.
 * Rejects with the signal's reason, and with a TypeError for a wrong time: `invalid sleep duration "-1"`.
 */
export async function sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
  if (!(ms >= 0 && ms <= MAX_SLEEP_MS)) throw new TypeError(`invalid sleep duration "${ms}"`);
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = ms === 0 ? afterOthers(end) : afterTime(end, ms);
    function end(): void {
      signal?.removeEventListener("abort", abort);
      resolve();
    }
    function abort(): void {
      stop();
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}

function afterTime(end: () => void, ms: number): () => void {
  const timeout = setTimeout(end, ms);
  return () => clearTimeout(timeout);
}

function afterOthers(end: () => void): () => void {
  const immediate = setImmediate(end);
  return () => clearImmediate(immediate);
}
