import { GatewayError } from "../../errors.ts";
import { network } from "../../upstream/network.ts";
import { Resolver } from "../../upstream/resolve.ts";
import { codeOf } from "./system-words.ts";

/** How long names may take; not part of the connect timeout. nginx: `resolver_timeout`. */
const RESOLVE_MS = 30_000;

/** The addresses of a host, or why there are none. */
export type Resolved =
  | { readonly hosts: readonly string[]; readonly err?: undefined }
  | { readonly err: string; readonly hosts?: undefined };

const resolver = new Resolver(); // one per process: names are asked for once, whoever connects

/** Turns a host name into addresses, by the system's resolver; failures in the words of nginx's. */
export async function resolveHost(host: string, signal: AbortSignal | undefined): Promise<Resolved> {
  if (isReserved(host)) return { err: resolveFailure(host, "ENOTFOUND") };
  try {
    const names = network.getStore()?.resolver ?? resolver;
    return { hosts: await names.resolve(host, { signal, timeoutMs: RESOLVE_MS }) };
  } catch (cause) {
    if (signal?.aborted) return { err: "aborted" };
    return { err: resolveFailure(host, cause instanceof GatewayError ? codeOf(cause) : "") };
  }
}

/** RFC 6761 §6.4: such names never exist, and nobody should be asked for them. */
function isReserved(host: string): boolean {
  return /(?:^|\.)invalid\.?$/i.test(host);
}

/** What it means that a name was not resolved; the C library says EAI_AGAIN when no server has answered in time. */
export function resolveFailure(host: string, code: string): string {
  if (code === "ENOTFOUND" || code === "ENODATA") return `${host} could not be resolved (3: Host not found)`;
  if (code === "" || code === "EAI_AGAIN" || code === "ETIMEDOUT")
    return `${host} could not be resolved (110: Operation timed out)`;
  return `${host} could not be resolved (2: Server failure)`;
}
