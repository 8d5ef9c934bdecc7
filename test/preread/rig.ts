import type { Sample } from "../laws/sniffer-laws.ts";

/** A sample for the laws, with its bytes as text: one character per byte. */
export function sample(name: string, text: string, verdict: Sample["verdict"], info?: unknown): Sample {
  return { name, bytes: Buffer.from(text, "latin1"), verdict, ...(info === undefined ? {} : { info }) };
}
