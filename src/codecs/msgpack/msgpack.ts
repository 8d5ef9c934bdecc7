import type { Packr } from "msgpackr";
// The plain JavaScript half of msgpackr: its main entry reads strings with a native addon, past which a fault of a stranger's
// bytes would be a fault of memory.
import { addExtension, Packr as PlainPackr } from "msgpackr/pack";
import { messageOf } from "../../errors.ts";
import { type Codec, type Decode, type Decoded, frame, malformed, remembering } from "../codec.ts";
import { MAX_BYTES, type MsgpackLimits, MsgpackScanner, TIMESTAMP } from "./scanner.ts";

/** An extension value of an application, as it came; its type is 0 to 127, or negative for the specification's own. */
export class MsgpackExtension {
  readonly type: number;
  readonly data: Uint8Array;

  constructor(type: number, data: Uint8Array) {
    this.type = type;
    this.data = data;
  }
}

/**
 * MessagePack, one value per frame: scanned within limits first, read by msgpackr only when whole.
 * Maps become objects (a key `__proto__` becomes `__proto_`, numbers become text), integers beyond 2^53 bigints,
 * timestamps Dates, other allowed extensions {@link MsgpackExtension}.
 * `encode` throws TypeError on what MessagePack cannot say, RangeError on an integer beyond 64 bits or more than `maxBytes`.
 * @throws TypeError when `extensions` names a type that msgpackr keeps for itself
 */
export function msgpackCodec(limits: MsgpackLimits = {}): Codec<unknown> {
  const { extensions = [], maxBytes = MAX_BYTES } = limits;
  for (const type of extensions) allowExtension(type);
  const codec: Codec<unknown> = {
    name: "msgpack",
    decode: (bytes) => msgpackDecoder(limits)(bytes),
    encode: (value) => write(value, maxBytes),
  };
  return { ...codec, begin: () => remembering(codec, () => msgpackDecoder(limits)) };
}

/** Decodes one value of growing bytes: asked again with more behind the same ones, it goes on where it stopped. */
export function msgpackDecoder(limits: MsgpackLimits = {}): Decode<unknown> {
  const scanner = new MsgpackScanner(limits);
  return (bytes) => {
    const scanned = scanner.scan(bytes);
    return scanned.kind === "frame" ? read(bytes, scanned.size) : scanned;
  };
}

const packr: Packr = new PlainPackr({
  useRecords: false, // records are code made from a stranger's bytes
  mapsAsObjects: true,
  variableMapSize: true, // the smallest form of a map, and more than 65,535 keys
  int64AsType: "auto", // bigint where a number would round
  copyBuffers: true, // binary values must not change with the reader's buffer
  encodeUndefinedAsNil: true, // the default is an extension that the scanner refuses
  onInvalidDate: () => {
    throw new TypeError("msgpack: an invalid Date"); // the default is a timestamp that nobody can read
  },
});

function read(bytes: Uint8Array, size: number): Decoded<unknown> {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, size); // a view of our own: msgpackr leaves a property on it
  try {
    return frame(packr.unpack(whole), size);
  } catch (cause) {
    return malformed(messageOf(cause)); // nested deeper than the stack, where the caller's limits allow that
  }
}

function write(value: unknown, maxBytes: number): Uint8Array {
  const bytes = packr.pack(value);
  if (bytes.length > maxBytes) throw new RangeError(`msgpack: ${bytes.length} bytes, more than ${maxBytes}`);
  return bytes;
}

/** What msgpackr does with these cannot be switched off: undefined, bigint, bundle, error, ids, record, set, array, RegExp. */
const RESERVED: readonly number[] = [0x00, ...Buffer.from("Bbeiprstx")];

/** Extensions are known to msgpackr per process. A reader that is there already stays: it is the program's own. */
function allowExtension(type: number): void {
  if (!Number.isInteger(type) || type < -128 || type > 127) throw new TypeError(`extensions: ${type} is no type`);
  if (RESERVED.includes(type)) throw new TypeError(`extensions: type ${type} is used by msgpackr itself`);
  if (type === TIMESTAMP || isRegistered(type)) return;
  addExtension({
    // msgpackr finds the writer of a value by its class alone; ours differ by type
    Class: { [Symbol.hasInstance]: (value: unknown) => value instanceof MsgpackExtension && value.type === type },
    type: type & 0xff,
    pack: ({ data }: MsgpackExtension) => data,
    unpack: (data: Uint8Array) => new MsgpackExtension(type, Buffer.from(data)),
  });
}

function isRegistered(type: number): boolean {
  try {
    packr.unpack(Uint8Array.of(0xd4, type & 0xff, 0));
    return true;
  } catch (cause) {
    return !messageOf(cause).startsWith("Unknown extension");
  }
}
