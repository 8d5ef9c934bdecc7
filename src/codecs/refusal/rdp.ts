/** MS-RDPBCGR §2.2.1.2.2 knows reasons of security alone; this one says that the server cannot, and not that the client should. */
const SSL_CERT_NOT_ON_SERVER = 3;
const REFERENCE = [0x12, 0x34]; // ours: any number that is not 0

/** RFC 1006 §6 and X.224 §13: a connection confirm that carries a failure, or a disconnect for clients that negotiate nothing. */
const FAILURE = Uint8Array.of(
  ...[3, 0, 0, 19],
  ...[14, 0xd0, 0, 0, ...REFERENCE, 0],
  ...[3, 0, 8, 0, SSL_CERT_NOT_ON_SERVER, 0, 0, 0],
);
const DISCONNECT = Uint8Array.of(...[3, 0, 0, 11], ...[6, 0x80, 0, 0, 0, 0, 0]);

/** Refuses a Remote Desktop client; there is no place for words. */
export function refuseRdp({ protocols }: { readonly protocols: readonly string[] }): Uint8Array {
  return protocols.length > 0 ? FAILURE : DISCONNECT;
}
