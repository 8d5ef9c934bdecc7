/** Why a TLS client is refused, in the words of RFC 8446 §6.2 (and RFC 6066 §3 for the name). */
export const alertDescriptions = {
  unexpectedMessage: 10,
  handshakeFailure: 40,
  accessDenied: 49,
  decodeError: 50,
  protocolVersion: 70,
  internalError: 80,
  unrecognizedName: 112,
  certificateRequired: 116,
} as const;

/** One of {@link alertDescriptions}. */
export type AlertDescription = (typeof alertDescriptions)[keyof typeof alertDescriptions];

const ALERT_RECORD = 21;
const FATAL = 2;

/** Refuses a TLS client politely: a fatal alert in clear text, which every client understands before keys are agreed. */
export function alert(description: AlertDescription): Uint8Array {
  return Uint8Array.of(ALERT_RECORD, 3, 3, 0, 2, FATAL, description); // 3.3: legacy_record_version, RFC 8446 §5.1
}
