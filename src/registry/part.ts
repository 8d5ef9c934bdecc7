import { randomUUID } from "node:crypto";
import { rm, stat } from "node:fs/promises";

/** Parts that a write was interrupted in are older than any write takes. */
const MAX_PART_AGE_MS = 60_000;

const PART = /^\.[\da-f-]{36}\.part$/;

/** The end of a name that nobody else has, for what is about to take the place of a file. */
export function partEnd(): string {
  return `.${randomUUID()}.part`;
}

/** Whether {@link partEnd} makes such ends. */
export function isPartEnd(end: string): boolean {
  return PART.test(end);
}

/** Takes a part away that a process has left which was killed while it wrote; not one that may still be written. */
export async function sweepPart(path: string): Promise<void> {
  const facts = await stat(path).catch(() => undefined); // gone: it has taken the place
  if (facts && Date.now() - facts.mtimeMs > MAX_PART_AGE_MS) await rm(path, { force: true });
}
