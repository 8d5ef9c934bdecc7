import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { sentenceOf } from "./words.ts";

/** RFC 9113 §7. gRPC clients take "refused stream" for UNAVAILABLE and "enhance your calm" for RESOURCE_EXHAUSTED. */
const CODES: StatusTable<number> = {
  exact: { 400: 0x1, 429: 0xb, 500: 0x2 }, // protocol error, enhance your calm, internal error
  refused: 0x7, // refused before anything was done for it
  failed: 0x7,
};
const SETTINGS = 4;
const GOAWAY = 7;

/** Refuses an HTTP/2 client: the server's preface, empty settings, then GOAWAY for all streams with the reason in it (RFC 9113 §6.8). */
export function refuseHttp2(refusal: Refusal): Uint8Array {
  const noStream = 0; // none was served
  return Buffer.concat([frame(SETTINGS), goAway(noStream, codeOf(CODES, refusal.status), sentenceOf(refusal))]);
}

/** Streams up to the last one may have been served. `text` is for people who debug. */
export function goAway(lastStream: number, code: number, text = ""): Buffer {
  const fields = Buffer.alloc(8);
  fields.writeUInt32BE(lastStream, 0);
  fields.writeUInt32BE(code, 4);
  return frame(GOAWAY, Buffer.concat([fields, Buffer.from(text)]));
}

/** RFC 9113 §4.1: length, type, no flags, stream 0. */
function frame(type: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  return Buffer.concat([header, payload]);
}
