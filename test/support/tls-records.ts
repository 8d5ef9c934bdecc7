const HEADER_BYTES = 5;

/** The handshake bytes inside the records of a recorded or written hello. */
export function messageIn(records: Uint8Array): Buffer {
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < records.length; ) {
    const end = at + HEADER_BYTES + Buffer.from(records).readUInt16BE(at + 3);
    fragments.push(records.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(fragments);
}

/** The message cut into handshake records of these sizes, over and over until it is used up. */
export function inRecords(message: Uint8Array, sizes: readonly number[]): Buffer {
  const records: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < message.length; turn++) {
    const fragment = message.subarray(at, at + (sizes[turn % sizes.length] ?? message.length));
    records.push(record(fragment));
    at += fragment.length;
  }
  return Buffer.concat(records);
}

export function record(content: Uint8Array, type = 0x16): Buffer {
  return Buffer.concat([Buffer.of(type, 3, 1, content.length >> 8, content.length), content]);
}

/** A handshake message with its header. */
export function message(body: Uint8Array, type = 1): Buffer {
  return Buffer.concat([Buffer.of(type, body.length >> 16, body.length >> 8, body.length), body]);
}
