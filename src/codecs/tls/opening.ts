import { needs } from "../codec.ts";
import { isRecordVersion } from "./records.ts";

/** What the first bytes of a client say about TLS. */
export type TlsOpening =
  | { readonly kind: "tls" }
  | { readonly kind: "sslv2" }
  | { readonly kind: "plain" }
  | { readonly kind: "more"; readonly atLeast: number };

const HANDSHAKE_RECORD = 0x16;
const TLS_BYTES = 3; // record type and version: what every TLS client begins with
const SSLV2_FIRST_BYTE = 0x80; // a two-byte header without padding, length below 256
const SSLV2_CLIENT_HELLO = 1;
const SSLV2_HEAD_BYTES = 11; // header, type, version, three lengths
const SSLV2_MIN_CHALLENGE = 16;
const SSLV2_MAX_CHALLENGE = 32;

/**
 * Tells TLS from plain clients on a port that takes both. Three bytes decide; an SSLv2 hello (RFC 5246 §E.2) is told apart so that
 * it can be refused with an alert, and by all lengths in its head, since plain protocols may begin with 0x80 as well.
 */
export function tlsOpening(head: Uint8Array): TlsOpening {
  const [first, second, third] = head;
  if (first === undefined) return needs(1);
  if (first === SSLV2_FIRST_BYTE) return sslv2Opening(head);
  if (first !== HANDSHAKE_RECORD || (second !== undefined && !isRecordVersion(second, third))) return { kind: "plain" };
  return third === undefined ? needs(TLS_BYTES) : { kind: "tls" };
}

function sslv2Opening(head: Uint8Array): TlsOpening {
  const [, size, type, major, minor] = head;
  if (type === undefined) return needs(3);
  if (type !== SSLV2_CLIENT_HELLO) return { kind: "plain" };
  if (minor === undefined) return needs(5);
  const isVersion2 = major === 0 && minor === 2;
  if (!isVersion2 && !(major === 3 && minor <= 4)) return { kind: "plain" };
  if (head.length < SSLV2_HEAD_BYTES) return needs(SSLV2_HEAD_BYTES);
  return { kind: areSslv2Lengths(head, size ?? 0) ? "sslv2" : "plain" };
}

/** Cipher specs of three bytes, a session id of 0 or 16, a challenge of 16 to 32, and nothing else in the message. */
function areSslv2Lengths(head: Uint8Array, size: number): boolean {
  const [c1 = 0, c2 = 0, s1 = 0, s2 = 0, h1 = 0, h2 = 0] = head.subarray(5, SSLV2_HEAD_BYTES);
  const ciphers = (c1 << 8) | c2;
  const session = (s1 << 8) | s2;
  const challenge = (h1 << 8) | h2;
  return (
    ciphers > 0 &&
    ciphers % 3 === 0 &&
    (session === 0 || session === 16) &&
    challenge >= SSLV2_MIN_CHALLENGE &&
    challenge <= SSLV2_MAX_CHALLENGE &&
    SSLV2_HEAD_BYTES - 2 + ciphers + session + challenge === size
  );
}
