import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { refuseText } from "./text.ts";
import { sentenceOf } from "./words.ts";

/** RFC 4250 §4.2.2. */
const REASONS: StatusTable<number> = {
  exact: { 400: 2, 429: 12 }, // protocol error, too many connections
  refused: 1, // host not allowed to connect
  failed: 7, // service not available
};
const IDENTIFICATION = "SSH-2.0-RestyConf\r\n";
const DISCONNECT = 1;
const BLOCK = 8;
const MIN_PADDING = 4;

/**
 * Refuses an SSH client with our identification and SSH_MSG_DISCONNECT (RFC 4253 §11.1), which its user is shown. A line before the
 * identification, which §4.2 allows as well, is shown to nobody but those who debug. SSH 1 gets such a line.
 */
export function refuseSsh(refusal: Refusal, { banner }: { readonly banner: string }): Uint8Array {
  if (/^SSH-1\.(?!99)/.test(banner)) return refuseText(refusal);
  const description = Buffer.from(sentenceOf(refusal));
  const fields = Buffer.alloc(9);
  fields.writeUInt8(DISCONNECT, 0);
  fields.writeUInt32BE(codeOf(REASONS, refusal.status), 1);
  fields.writeUInt32BE(description.length, 5);
  return Buffer.concat([Buffer.from(IDENTIFICATION), packet(Buffer.concat([fields, description, Buffer.alloc(4)]))]); // no language
}

/** RFC 4253 §6: as it is before keys are agreed, without encryption and MAC. */
function packet(payload: Uint8Array): Buffer {
  const padding = BLOCK - ((5 + payload.length + MIN_PADDING) % BLOCK) + MIN_PADDING;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding, 0);
  head.writeUInt8(padding, 4);
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}
