export { type Codec, type Decode, type Decoded, frame, malformed, needs, remembering, tooLarge } from "./codec.ts";
export { type LengthPrefixedOptions, lengthPrefixed } from "./length-prefixed.ts";
export { type LineOptions, line } from "./line.ts";
export { type MqttAnswer, type MqttCodecOptions, type MqttConnectPacket, type MqttPacket, mqtt } from "./mqtt/mqtt.ts";
export { MsgpackExtension, msgpackCodec as msgpack } from "./msgpack/msgpack.ts";
export type { MsgpackLimits } from "./msgpack/scanner.ts";
export { type VarintPrefixedOptions, varintPrefixed } from "./varint-prefixed.ts";
