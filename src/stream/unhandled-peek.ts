import { type ErrorCode, GatewayError } from "../errors.ts";
import type { ReadError } from "./reader.ts";

/** What nginx ends a session with where a peek does not get its bytes. */
const ENDS: ReadonlyMap<ReadError | undefined, ErrorCode> = new Map<ReadError, ErrorCode>([
  ["buffer full", "RC_PREREAD_FULL"],
  ["timeout", "RC_PREREAD_TIMEOUT"],
  ["closed", "RC_CLIENT_CLOSED"],
  ["client aborted", "RC_CLIENT_CLOSED"],
]);

/**
 * Why a session ends whose preread hook failed, when its last peek had answered `err`: a hook that takes data for granted
 * (a TypeError), or throws the word, has left to us what OpenResty does at once. Any other failure stays what it is.
 */
export function afterPeek(failure: unknown, err: ReadError | undefined): unknown {
  const code = ENDS.get(err);
  if (!code || !(failure instanceof GatewayError) || failure.code !== "RC_HOOK_FAILED") return failure;
  const { cause } = failure;
  const isOfPeek = cause instanceof TypeError || (cause instanceof Error && cause.message.includes(String(err)));
  return isOfPeek ? new GatewayError(code, `peek: ${failure.message}`, { cause }) : failure;
}
