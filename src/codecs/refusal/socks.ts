import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";

/** What an answer depends on. */
export type RefusedSocksClient = { readonly version: 4 } | { readonly version: 5; readonly methods: readonly number[] };

/** RFC 1928 §6. */
const REPLIES: StatusTable<number> = {
  exact: { 502: 5, 504: 4 }, // connection refused, host unreachable
  refused: 2, // connection not allowed by ruleset
  failed: 1, // general failure
};
const NO_LOGIN = 0;
const NONE_ACCEPTABLE = Uint8Array.of(5, 0xff);
const LOGIN_NOT_NEEDED = Uint8Array.of(5, NO_LOGIN);
/** SOCKS 4: request rejected or failed, then a port and an address that mean nothing. */
const VERSION_4 = Uint8Array.of(0, 91, 0, 0, 0, 0, 0, 0);

/**
 * Refuses a SOCKS client; neither version has a place for words. Version 5 (RFC 1928) has a reason only in the answer to a request, so
 * that one is waited for, unless the client wants to log in.
 */
export function refuseSocks({ status }: Refusal, client: RefusedSocksClient): Uint8Array[] {
  if (client.version === 4) return [VERSION_4];
  if (!client.methods.includes(NO_LOGIN)) return [NONE_ACCEPTABLE];
  return [LOGIN_NOT_NEEDED, Uint8Array.of(5, codeOf(REPLIES, status), 0, 1, ...[0, 0, 0, 0], ...[0, 0])];
}
