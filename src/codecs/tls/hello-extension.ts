import { Fields } from "./fields.ts";
import { readHelloBody } from "./records.ts";

const VERSION_AND_RANDOM_BYTES = 34; // RFC 8446 §4.1.2

/**
 * The data of one extension of the ClientHello at the start of `bytes`, as it came and copied, GREASE included (RFC 8446 §4.2);
 * undefined where it is not there, or the bytes are no whole hello. Looked up again for each question: most sessions ask none,
 * and keeping the bytes would cost every session memory.
 */
export function helloExtension(bytes: Uint8Array, wanted: number): Buffer | undefined {
  const body = readHelloBody(bytes);
  if (body.kind !== "frame") return undefined;
  const faults: string[] = [];
  const fields = new Fields({ bytes: body.value, faults }, "ClientHello");
  fields.skip(VERSION_AND_RANDOM_BYTES);
  fields.vector8("session id");
  fields.vector16("cipher_suites");
  fields.vector8("compression methods");
  const extensions = fields.vector16("extensions");
  while (extensions.left) {
    const type = extensions.u16();
    const data = extensions.vector16("extension");
    if (type === wanted && faults.length === 0) return Buffer.from(data.rest8());
  }
  return undefined;
}
