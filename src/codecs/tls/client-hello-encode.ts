import { EXTENSION_TYPE, VERSION_NAMES } from "./client-hello.ts";

type Extension = readonly [type: number, data: Uint8Array];

/** What a hello shall say. Extensions come in the order of these fields, `further` ones last. */
export interface ClientHelloOffer {
  readonly serverName?: string | undefined;
  readonly alpn?: readonly string[];
  readonly versions?: readonly string[];
  readonly ciphers?: readonly number[];
  readonly groups?: readonly number[];
  readonly signatureAlgorithms?: readonly number[];
  readonly further?: readonly Extension[];
}

const MAX_RECORD_BYTES = 2 ** 14; // RFC 8446 §5.1
const TLS12 = 0x0303;
const RANDOM_BYTES = 32;
const AES_128_GCM_SHA256 = 0x1301;
const X25519 = 0x001d;
const ECDSA_P256_SHA256 = 0x0403;

/**
 * Writes a ClientHello for examples and tests. The random is zero and no key share is included: it shows what a client says,
 * no server would agree keys with it. Never throws; fields too long for their length byte make a hello that does not decode.
 */
export function encodeClientHello(offer: ClientHelloOffer = {}): Uint8Array {
  const body = Buffer.concat([
    u16(TLS12),
    Buffer.alloc(RANDOM_BYTES),
    vector8(),
    vector16(...(offer.ciphers ?? [AES_128_GCM_SHA256]).map(u16)),
    vector8(Buffer.of(0)),
    vector16(...extensionsOf(offer).map(([type, data]) => Buffer.concat([u16(type), vector16(data)]))),
  ]);
  return inRecords(Buffer.concat([Buffer.of(1, body.length >> 16), vector16(body)]));
}

function extensionsOf(offer: ClientHelloOffer): Extension[] {
  const { serverName, alpn = [], versions = ["TLSv1.3", "TLSv1.2"], further = [] } = offer;
  const { groups = [X25519], signatureAlgorithms = [ECDSA_P256_SHA256] } = offer;
  const codes = [...VERSION_NAMES].filter(([, name]) => versions.includes(name)).map(([code]) => code);
  const host = serverName === undefined ? [] : [Buffer.concat([Buffer.of(0), vector16(latin1(serverName))])];
  const protocols = alpn.map((name) => vector8(latin1(name)));
  return [
    ...extension(EXTENSION_TYPE.serverName, host),
    ...extension(EXTENSION_TYPE.alpn, protocols),
    ...(codes.length === 0 ? [] : [[EXTENSION_TYPE.supportedVersions, vector8(...codes.map(u16))] as const]),
    ...extension(EXTENSION_TYPE.groups, groups.map(u16)),
    ...extension(EXTENSION_TYPE.signatureAlgorithms, signatureAlgorithms.map(u16)),
    ...further,
  ];
}

/** An extension that is one list; what has nothing to say is left out, since an empty list is malformed. */
function extension(type: number, items: readonly Uint8Array[]): Extension[] {
  return items.length === 0 ? [] : [[type, vector16(...items)]];
}

function inRecords(message: Uint8Array): Uint8Array {
  const records: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += MAX_RECORD_BYTES) {
    records.push(Buffer.of(0x16, 3, 1), vector16(message.subarray(at, at + MAX_RECORD_BYTES)));
  }
  return Buffer.concat(records);
}

function vector8(...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(content.length), content]);
}

function vector16(...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  return Buffer.concat([u16(content.length), content]);
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value);
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
