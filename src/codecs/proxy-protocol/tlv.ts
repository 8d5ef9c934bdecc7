/** One extra of a PROXY v2 header: a type of {@link TLV_TYPE}, or any other byte, and its raw value. */
export interface Tlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** Types of the PROXY protocol specification §2.2.1 to §2.2.8, and of the parts of SSL (§2.2.6). */
export const TLV_TYPE = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  ssl: 0x20,
  netns: 0x30,
} as const;
const SSL_TYPE = { version: 0x21, commonName: 0x22, cipher: 0x23, signature: 0x24, key: 0x25 } as const;
const CLIENT_BIT = { ssl: 0x01, certOnConnection: 0x02, certInSession: 0x04 } as const;

const TLV_HEADER_BYTES = 3;
const SSL_FIXED_BYTES = 5; // client bits and the verify word
const MAX_UNIQUE_ID_BYTES = 128; // specification §2.2.5
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a PROXY v2 header says of the client's TLS, as the sender terminated it. */
export interface ProxySsl {
  /** The client came over TLS. */
  readonly ssl: boolean;
  /** It showed a certificate on this connection. */
  readonly certOnConnection: boolean;
  /** It showed a certificate at least once in this TLS session. */
  readonly certInSession: boolean;
  /** 0: the certificate was shown and verified. Any other number: it was not. */
  readonly verify: number;
  /** `TLSv1.3`. */
  readonly version?: string | undefined;
  /** Common name of the client certificate. */
  readonly commonName?: string | undefined;
  readonly cipher?: string | undefined;
  readonly signatureAlgorithm?: string | undefined;
  readonly keyAlgorithm?: string | undefined;
}

/** The extras of a PROXY v2 header whose meaning is known. */
export interface ProxyFields {
  /** Protocol that the client and the sender agreed on. */
  readonly alpn?: string | undefined;
  /** Host name that the client asked for: the server name of its TLS. */
  readonly authority?: string | undefined;
  /** The sender's name for this connection, at most 128 bytes. */
  readonly uniqueId?: Uint8Array | undefined;
  readonly ssl?: ProxySsl | undefined;
  /** Network namespace of the sender. */
  readonly netns?: string | undefined;
}

/** The known fields of a header's extras. The first of several wins; one with a value out of form counts as absent. */
export function readTlvs(tlvs: readonly Tlv[]): ProxyFields {
  const uniqueId = findValue(tlvs, TLV_TYPE.uniqueId);
  return {
    alpn: textOf(tlvs, TLV_TYPE.alpn),
    authority: textOf(tlvs, TLV_TYPE.authority),
    uniqueId: uniqueId && uniqueId.length <= MAX_UNIQUE_ID_BYTES ? uniqueId : undefined,
    ssl: readSsl(findValue(tlvs, TLV_TYPE.ssl)),
    netns: textOf(tlvs, TLV_TYPE.netns),
  };
}

/** The extras for an outgoing header. Throws TypeError on a unique id beyond 128 bytes. */
export function writeTlvs(fields: ProxyFields): Tlv[] {
  const { uniqueId } = fields;
  if (uniqueId && uniqueId.length > MAX_UNIQUE_ID_BYTES) {
    throw new TypeError(`unique id of ${uniqueId.length} bytes, the limit is ${MAX_UNIQUE_ID_BYTES}`);
  }
  return [
    ...textTlv(TLV_TYPE.alpn, fields.alpn),
    ...textTlv(TLV_TYPE.authority, fields.authority),
    ...(uniqueId ? [{ type: TLV_TYPE.uniqueId, value: uniqueId }] : []),
    ...(fields.ssl ? [{ type: TLV_TYPE.ssl, value: writeSsl(fields.ssl) }] : []),
    ...textTlv(TLV_TYPE.netns, fields.netns),
  ];
}

/** Cuts bytes into type, length and value; undefined when one of them runs over the end. */
export function parseTlvs(bytes: Uint8Array): Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + TLV_HEADER_BYTES > bytes.length) return undefined;
    const start = at + TLV_HEADER_BYTES;
    const end = start + (((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0));
    if (end > bytes.length) return undefined;
    tlvs.push({ type: bytes[at] ?? 0, value: bytes.subarray(start, end) });
    at = end;
  }
  return tlvs;
}

/** The bytes that {@link parseTlvs} reads. */
export function joinTlvs(tlvs: readonly Tlv[]): Uint8Array {
  return Buffer.concat(
    tlvs.flatMap(({ type, value }) => [Uint8Array.of(type, value.length >> 8, value.length & 0xff), value]),
  );
}

function readSsl(value: Uint8Array | undefined): ProxySsl | undefined {
  if (!value || value.length < SSL_FIXED_BYTES) return undefined;
  const parts = parseTlvs(value.subarray(SSL_FIXED_BYTES));
  if (!parts) return undefined;
  const bits = value[0] ?? 0;
  return {
    ssl: (bits & CLIENT_BIT.ssl) !== 0,
    certOnConnection: (bits & CLIENT_BIT.certOnConnection) !== 0,
    certInSession: (bits & CLIENT_BIT.certInSession) !== 0,
    verify: new DataView(value.buffer, value.byteOffset).getUint32(1),
    version: textOf(parts, SSL_TYPE.version),
    commonName: textOf(parts, SSL_TYPE.commonName),
    cipher: textOf(parts, SSL_TYPE.cipher),
    signatureAlgorithm: textOf(parts, SSL_TYPE.signature),
    keyAlgorithm: textOf(parts, SSL_TYPE.key),
  };
}

function writeSsl(ssl: ProxySsl): Uint8Array {
  const fixed = Buffer.alloc(SSL_FIXED_BYTES);
  fixed[0] =
    (ssl.ssl ? CLIENT_BIT.ssl : 0) |
    (ssl.certOnConnection ? CLIENT_BIT.certOnConnection : 0) |
    (ssl.certInSession ? CLIENT_BIT.certInSession : 0);
  fixed.writeUInt32BE(ssl.verify, 1);
  const parts = [
    ...textTlv(SSL_TYPE.version, ssl.version),
    ...textTlv(SSL_TYPE.commonName, ssl.commonName),
    ...textTlv(SSL_TYPE.cipher, ssl.cipher),
    ...textTlv(SSL_TYPE.signature, ssl.signatureAlgorithm),
    ...textTlv(SSL_TYPE.key, ssl.keyAlgorithm),
  ];
  return Buffer.concat([fixed, joinTlvs(parts)]);
}

function findValue(tlvs: readonly Tlv[], type: number): Uint8Array | undefined {
  return tlvs.find((tlv) => tlv.type === type)?.value;
}

function textOf(tlvs: readonly Tlv[], type: number): string | undefined {
  const value = findValue(tlvs, type);
  return value && UTF8.decode(value);
}

function textTlv(type: number, text: string | undefined): Tlv[] {
  return text === undefined ? [] : [{ type, value: Buffer.from(text) }];
}
