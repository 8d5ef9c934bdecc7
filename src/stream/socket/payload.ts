import { asBuffer } from "../../codecs/as-buffer.ts";

/** What may stand in a list that is sent. */
export type Fragment = string | number | Uint8Array | readonly Fragment[];

/** What can be sent: text is UTF-8, numbers and booleans as they print, null and undefined as `nil`, lists flattened. */
export type Payload = Fragment | boolean | null | undefined;

/**
 * The bytes of what is to be sent. OpenResty: `tcpsock:send`, where nested tables are joined. Bytes given alone are not
 * copied: they must stay as they are until they are sent.
 * @throws TypeError `bad data type … found`, before anything is sent
 */
export function payloadBytes(data: Payload): Buffer {
  if (data instanceof Uint8Array) return asBuffer(data);
  if (data === null || data === undefined) return Buffer.from("nil");
  if (typeof data === "boolean") return Buffer.from(String(data));
  const parts: Buffer[] = [];
  collect(data, parts);
  const [only] = parts;
  return parts.length === 1 && only ? only : Buffer.concat(parts);
}

function collect(data: Fragment, parts: Buffer[]): void {
  if (data instanceof Uint8Array) parts.push(asBuffer(data));
  else if (typeof data === "string" || typeof data === "number") parts.push(Buffer.from(String(data)));
  else if (isList(data)) for (const part of data) collect(part, parts);
  else throw new TypeError(`bad data type ${nameOf(data)} found`);
}

/** `Array.isArray` does not know that a list may be readonly. */
function isList(data: unknown): data is readonly Fragment[] {
  return Array.isArray(data);
}

function nameOf(data: unknown): string {
  return data === null || data === undefined ? "nil" : typeof data;
}
