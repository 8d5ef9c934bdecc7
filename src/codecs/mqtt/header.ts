import { type Decoded, frame, malformed, needs } from "../codec.ts";

/** What the first bytes of every MQTT packet say (MQTT 3.1.1 and 5, §2.1). */
export interface MqttHeader {
  /** 1 CONNECT to 15 AUTH. */
  readonly type: number;
  readonly flags: number;
  readonly bodyStart: number;
  readonly packetBytes: number;
}

/** Seven bits each: no packet announces more than 268,435,455 bytes (§2.1.4). */
const MAX_LENGTH_BYTES = 4;
const CONTINUES = 0x80;
const PUBLISH = 3;
const FLAGS_OF_TWO: readonly number[] = [6, 8, 10]; // PUBREL, SUBSCRIBE, UNSUBSCRIBE

/** Reads the fixed header alone, so that a packet over `maxBytes` is refused before any of it is buffered. */
export function scanHeader(bytes: Uint8Array, maxBytes: number): Decoded<MqttHeader> {
  const [first] = bytes;
  if (first === undefined) return needs(1);
  const type = first >> 4;
  const flags = first & 0x0f;
  if (type === 0) return malformed("packet type 0 is reserved");
  if (!areValid(type, flags)) return malformed(`flags ${flags} of packet type ${type}`); // [MQTT-2.1.3-1]
  const length = scanVarint(bytes, 1);
  if (length.kind !== "frame") return length;
  const bodyStart = 1 + length.size;
  const packetBytes = bodyStart + length.value;
  if (packetBytes > maxBytes)
    return { ...malformed(`a packet of ${packetBytes} bytes, more than ${maxBytes}`), tooLarge: true };
  return frame({ type, flags, bodyStart, packetBytes }, bodyStart);
}

/** Finds where one packet ends, once all of it is there: what mqtt-packet is given, and nothing else with it. */
export function scanPacket(bytes: Uint8Array, maxBytes: number): Decoded<MqttHeader> {
  const header = scanHeader(bytes, maxBytes);
  if (header.kind !== "frame") return header;
  const { packetBytes } = header.value;
  return bytes.length < packetBytes ? needs(packetBytes) : frame(header.value, packetBytes);
}

/** Writes a fixed header for a body of `length` bytes. */
export function encodeHeader(type: number, flags: number, length: number): Uint8Array {
  const bytes = [(type << 4) | flags];
  let left = length;
  for (; left >= CONTINUES; left = Math.floor(left / CONTINUES)) bytes.push((left % CONTINUES) | CONTINUES);
  return Uint8Array.from([...bytes, left]);
}

/** Variable byte integer at `at` (MQTT 5 §1.5.5); its size counts from there, what it asks for from the first byte. */
export function scanVarint(bytes: Uint8Array, at: number): Decoded<number> {
  let value = 0;
  for (let index = 0, weight = 1; index < MAX_LENGTH_BYTES; index++, weight *= CONTINUES) {
    const byte = bytes[at + index];
    if (byte === undefined) return needs(at + index + 1);
    value += (byte % CONTINUES) * weight;
    if (byte >= CONTINUES) continue;
    if (byte === 0 && index > 0) return malformed("a length not in its shortest form"); // [MQTT-1.5.5-1]
    return frame(value, index + 1);
  }
  return malformed("a length of more than four bytes");
}

function areValid(type: number, flags: number): boolean {
  if (type === PUBLISH) return (flags & 0x06) !== 0x06; // both QoS bits: [MQTT-3.3.1-4]
  return flags === (FLAGS_OF_TWO.includes(type) ? 2 : 0);
}
