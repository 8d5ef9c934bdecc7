/** Whatever is not taken back is over by itself soon: nobody's end waits longer for a registry that may not answer. */
const GOODBYE_MS = 1_000;

/** Waits for something that is taken back at the end, but not for long; it goes on alone then. Never rejects. */
export async function briefly(goodbye: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, GOODBYE_MS);
  });
  await Promise.race([goodbye.catch(() => {}), enough]);
  clearTimeout(timer);
}
