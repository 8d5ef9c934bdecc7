import { fatal } from "../refusal/postgres.ts";
import type { Goodbye } from "./goodbye.ts";

/** What PostgreSQL itself says to whoever is connected when it is stopped (`admin_shutdown`); drivers connect again. */
const ADMIN_SHUTDOWN = "57P01";
const MESSAGE = "terminating connection due to administrator command";

/**
 * ErrorResponse, which may come at any time. Undefined behind a request for encryption: what follows is between the client and its
 * peer; and for a cancel request, which has no answer.
 */
export function goodbyePostgres(_goodbye: Goodbye, { kind }: { readonly kind: string }): Uint8Array | undefined {
  return kind === "startup" ? fatal({ code: ADMIN_SHUTDOWN, message: MESSAGE }) : undefined;
}
