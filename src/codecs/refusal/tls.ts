import type { Refusal } from "../../errors.ts";
import { type AlertDescription, alert, alertDescriptions } from "../tls/alert.ts";
import { codeOf, type StatusTable } from "./status-table.ts";

/** RFC 8446 §6.2: "a valid certificate … was received, but when access control was applied, the sender decided not to proceed". */
const ALERTS: StatusTable<AlertDescription> = {
  exact: { 400: alertDescriptions.handshakeFailure, 421: alertDescriptions.unrecognizedName },
  refused: alertDescriptions.accessDenied,
  failed: alertDescriptions.internalError,
};

/** Refuses a TLS client whose hello was read and nothing else: an alert, which has no place for words. */
export function refuseTls({ status }: Refusal): Uint8Array {
  return alert(alertOf(status));
}

/** The alert for a status. */
export function alertOf(status: number): AlertDescription {
  return codeOf(ALERTS, status);
}
