import { isUtf8 } from "node:buffer";
import { asBuffer } from "../as-buffer.ts";
import { scanVarint } from "./header.ts";

/** Reads fields one after the other. The first fault stays, and what is read after it counts for nothing. */
export class Fields {
  fault: string | undefined;
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = asBuffer(bytes);
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  fail(fault: string): void {
    this.fault ??= fault;
  }

  /** An identifier of a packet, never 0: [MQTT-2.2.1-3], in MQTT 3.1.1 [MQTT-2.3.1-1]. */
  packetId(): void {
    if (this.uint(2) === 0) this.fail("packet identifier 0");
  }

  /** Goes to the end: what is left is free. */
  skipRest(): void {
    this.at = this.#bytes.length;
  }

  uint(width: number): number {
    let value = 0;
    for (let at = this.#take(width); at < this.at; at++) value = value * 256 + (this.#bytes[at] ?? 0);
    return value;
  }

  varint(): number {
    const decoded = scanVarint(this.#bytes, this.at);
    if (decoded.kind === "frame") {
      this.at += decoded.size;
      return decoded.value;
    }
    this.fail(decoded.kind === "more" ? "a field past the end" : decoded.reason);
    return 0;
  }

  /** Goes past binary data, which has its length in front. */
  skip(): void {
    this.#take(this.uint(2));
  }

  text(): string {
    const start = this.#take(this.uint(2));
    const text = this.#bytes.toString("utf8", start, this.at);
    // [MQTT-1.5.4-1], in MQTT 3.1.1 [MQTT-1.5.3-1]; what is no UTF-8 is read as replacement characters, which may also be sent
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(start, this.at))) this.fail("text that is not UTF-8");
    if (text.includes("\0")) this.fail("text with NUL"); // [MQTT-1.5.4-2], [MQTT-1.5.3-2]
    return text;
  }

  /** Where the next `size` bytes begin; they end at `at`. */
  #take(size: number): number {
    const start = this.at;
    this.at = Math.min(start + size, this.#bytes.length);
    if (this.at < start + size) this.fail("a field past the end");
    return start;
  }
}
