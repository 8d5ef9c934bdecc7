import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { sentenceOf } from "./words.ts";

/** What an answer depends on: the header that the client sent. */
export interface RefusedAmqpClient {
  readonly version: string;
  readonly layer: "amqp" | "tls" | "sasl";
}

/** AMQP 0-9-1 §1.2, constants. */
const REPLY_CODES: StatusTable<number> = {
  exact: { 400: 530, 429: 506, 500: 541 }, // not allowed, resource error, internal error
  refused: 403, // access refused
  failed: 320, // connection forced: the client may try again
};

/** AMQP 1.0 §2.8.15, §2.8.16. */
const CONDITIONS: StatusTable<string> = {
  exact: { 400: "amqp:not-allowed", 429: "amqp:resource-limit-exceeded", 500: "amqp:internal-error" },
  refused: "amqp:unauthorized-access",
  failed: "amqp:connection:forced",
};

/**
 * Refuses an AMQP client by closing the connection that it asks for. In 0-9-1 it has to answer our start first: libraries take
 * no other method in its place. Other versions, and 1.0 while it asks for TLS or SASL, have nothing for it.
 */
export function refuseAmqp(refusal: Refusal, { version, layer }: RefusedAmqpClient): Uint8Array[] | undefined {
  if (version === "0-9-1") return [START, closed091(codeOf(REPLY_CODES, refusal.status), sentenceOf(refusal))];
  return version === "1.0" && layer === "amqp" ? [close10(refusal)] : undefined;
}

const MAX_SHORT = 255; // of a short string, in bytes
const METHOD_FRAME = 1;
const FRAME_END = 0xce;
const CONNECTION = 10;

/** Connection.Start (§1.4.2.1): version 0-9, no properties of ours, and what every client has as mechanism and locale. */
const START = method(10, Buffer.of(0, 9), Buffer.alloc(4), long("PLAIN"), long("en_US"));

/** Connection.Close (§1.4.2.7), caused by no method of the client. */
export function closed091(replyCode: number, replyText: string): Buffer {
  const text = shortOf(replyText);
  const code = Buffer.alloc(2);
  code.writeUInt16BE(replyCode);
  return method(50, code, Buffer.of(text.length), text, Buffer.alloc(4));
}

/** A frame of channel 0 with a method of the class connection (§2.3.5). */
function method(id: number, ...fields: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat([Buffer.of(0, CONNECTION, 0, id), ...fields]);
  const head = Buffer.alloc(7, METHOD_FRAME);
  head.writeUInt16BE(0, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(FRAME_END)]);
}

function long(text: string): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 0, text.length), Buffer.from(text)]);
}

const HEADER_10 = Buffer.from("AMQP\0\x01\0\0");
const OPEN = 0x10;
const CLOSE_10 = 0x18;
const ERROR = 0x1d;

/** Header and open (§2.2, §2.7.1), then the close. */
function close10(refusal: Refusal): Buffer {
  const open = frame(described(OPEN, [string("restyconf")]));
  return Buffer.concat([HEADER_10, open, closed10(codeOf(CONDITIONS, refusal.status), sentenceOf(refusal))]);
}

/** Close with an error (§2.4.3, §2.8.14), of a connection that is open. */
export function closed10(condition: string, text: string): Buffer {
  return frame(described(CLOSE_10, [described(ERROR, [symbol(condition), string(text)])]));
}

/** §2.3: size, data offset, type AMQP, channel 0. */
function frame(body: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.writeUInt8(2, 4);
  return Buffer.concat([head, body]);
}

/** §1.1.2: a list with a small number as its descriptor; list32, so that no length has to be judged. */
function described(descriptor: number, fields: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(fields);
  const head = Buffer.alloc(12);
  head.set([0, 0x53, descriptor, 0xd0], 0);
  head.writeUInt32BE(content.length + 4, 4);
  head.writeUInt32BE(fields.length, 8);
  return Buffer.concat([head, content]);
}

const string = (text: string): Buffer => sized(0xa1, shortOf(text));
const symbol = (text: string): Buffer => sized(0xa3, shortOf(text));

function sized(format: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(format, bytes.length), bytes]);
}

/** No character is cut in two. */
function shortOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, MAX_SHORT);
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
