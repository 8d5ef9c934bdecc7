/**
 * Does what is given up when a signal aborts: `giveUp` is to end it soon. Rejects with the signal's reason then, and does not even begin
 * when that is over already.
 */
export async function unlessAborted<Value>(
  unless: AbortSignal,
  giveUp: () => void,
  work: () => Promise<Value>,
): Promise<Value> {
  unless.throwIfAborted();
  unless.addEventListener("abort", giveUp);
  try {
    return await work();
  } catch (cause) {
    throw unless.aborted ? unless.reason : cause;
  } finally {
    unless.removeEventListener("abort", giveUp);
  }
}
