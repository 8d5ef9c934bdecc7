import type { Address } from "../address.ts";
import { ipFromBytes, ipToBytes, toV6 } from "../ip.ts";
import { crc32c } from "./crc32c.ts";
import { FAMILY, FIXED_BYTES, SIGNATURE, UNIX_PATH_BYTES } from "./decode.ts";
import { joinTlvs, TLV_TYPE, type Tlv } from "./tlv.ts";

/** What a header tells the peer about the client. */
export interface OutgoingProxyHeader {
  /** The client; undefined makes a header that says nothing of it (LOCAL, UNKNOWN), e.g. for a health check. */
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** Extras, from `writeTlvs` or passed on from a header that came in. Version 1 has no room for them. */
  readonly tlvs?: readonly Tlv[];
  /**
   * Adds a checksum (TLV 0x03). Default false, as in HAProxy: TCP has checked the bytes already, and a header without
   * extras is what every receiver understands.
   */
  readonly crc32c?: boolean;
}

const VERSION_2 = 0x20;
const COMMAND = { local: 0, proxy: 1 } as const;
const STREAM = 1;
const MAX_LENGTH = 0xffff; // the length field of version 2
const CHECKSUM_BYTES = 4;

/** Both addresses in one family, as bytes. */
type Ends =
  | { readonly kind: "none" }
  | { readonly kind: "inet" | "inet6" | "unix"; readonly source: Uint8Array; readonly destination: Uint8Array };

/** Builds the header that goes to a peer before the client's first byte. nginx: `proxy_protocol on`. */
export function encodeProxyHeader(version: 1 | 2, header: OutgoingProxyHeader): Uint8Array {
  return version === 1 ? encodeV1(header) : encodeV2(header);
}

/** Version 1 knows TCP over IP only: all else is UNKNOWN (specification §2.1). */
function encodeV1({ source, destination }: OutgoingProxyHeader): Uint8Array {
  const ends = endsOf(source, destination);
  if (ends.kind === "none" || ends.kind === "unix") return Buffer.from("PROXY UNKNOWN\r\n");
  const protocol = ends.kind === "inet" ? "TCP4" : "TCP6";
  const hosts = `${ipFromBytes(ends.source)} ${ipFromBytes(ends.destination)}`;
  return Buffer.from(`PROXY ${protocol} ${hosts} ${source?.port} ${destination?.port}\r\n`);
}

function encodeV2({ source, destination, tlvs = [], crc32c: withChecksum = false }: OutgoingProxyHeader): Uint8Array {
  const ends = endsOf(source, destination);
  const command = source && destination ? COMMAND.proxy : COMMAND.local;
  const checksum = { type: TLV_TYPE.crc32c, value: new Uint8Array(CHECKSUM_BYTES) };
  const passed = tlvs.filter(({ type }) => type !== TLV_TYPE.crc32c); // of another header: it would be wrong here
  const extras = joinTlvs(withChecksum ? [...passed, checksum] : passed);
  const block = Buffer.concat([addressBlock(ends, source, destination), extras]);
  if (block.length > MAX_LENGTH) {
    throw new TypeError(`PROXY header block of ${block.length} bytes, the limit is ${MAX_LENGTH}`);
  }
  const header = Buffer.concat([SIGNATURE, Buffer.alloc(FIXED_BYTES - SIGNATURE.length), block]);
  header[12] = VERSION_2 | command;
  header[13] = ends.kind === "none" ? 0 : (FAMILY[ends.kind] << 4) | STREAM;
  header.writeUInt16BE(block.length, 14);
  // The checksum's value stands last and is zero so far, as its definition wants (specification §2.2.3).
  if (withChecksum) header.writeUInt32BE(crc32c(header), header.length - CHECKSUM_BYTES);
  return header;
}

function addressBlock(ends: Ends, source: Address | undefined, destination: Address | undefined): Uint8Array {
  if (ends.kind === "none") return new Uint8Array();
  if (ends.kind === "unix") return Buffer.concat([ends.source, ends.destination]);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source?.port ?? 0, 0);
  ports.writeUInt16BE(destination?.port ?? 0, 2);
  return Buffer.concat([ends.source, ends.destination, ports]);
}

/** Two IP addresses of different families become IPv6 both; two that have no common family, or a name, none. */
function endsOf(from: Address | undefined, to: Address | undefined): Ends {
  if (!from || !to) return { kind: "none" };
  if (from.host.startsWith("unix:") && to.host.startsWith("unix:")) {
    return { kind: "unix", source: unixPath(from.host), destination: unixPath(to.host) };
  }
  const source = ipToBytes(from.host);
  const destination = ipToBytes(to.host);
  if (!source || !destination) return { kind: "none" };
  if (source.length === 4 && destination.length === 4) return { kind: "inet", source, destination };
  return { kind: "inet6", source: toV6(source), destination: toV6(destination) };
}

/** The path, filled up with NUL; `@` is Linux' abstract namespace. What is beyond the kernel's own limit is cut. */
function unixPath(host: string): Uint8Array {
  const path = host.slice("unix:".length);
  const field = Buffer.alloc(UNIX_PATH_BYTES);
  field.write(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  return field;
}
