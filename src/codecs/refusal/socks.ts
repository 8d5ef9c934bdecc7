/** RFC 1928 §3: of your methods none is acceptable. The only refusal that version 5 has before a login. */
const VERSION_5 = Uint8Array.of(5, 0xff);
/** SOCKS 4: request rejected or failed, then a port and an address that mean nothing. */
const VERSION_4 = Uint8Array.of(0, 91, 0, 0, 0, 0, 0, 0);

/** Refuses a SOCKS client; neither version has a place for words. */
export function refuseSocks({ version }: { readonly version: 4 | 5 }): Uint8Array {
  return version === 5 ? VERSION_5 : VERSION_4;
}
