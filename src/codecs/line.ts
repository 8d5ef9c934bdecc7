import { asBuffer } from "./as-buffer.ts";
import { type Codec, type Decode, type Decoded, frame, malformed, needs, remembering, tooLarge } from "./codec.ts";

/** What ends a line, and how long it may be. */
export interface LineOptions {
  /** The longest line, its end counted. Default 8,192. */
  readonly maxBytes?: number;
  /** What `encode` writes behind a line. Default `"\n"`. */
  readonly end?: "\n" | "\r\n";
  /**
   * Accepts `end` and nothing else. With `"\r\n"` a CR or LF alone is malformed, as SMTP demands it (RFC 5321 §2.3.8); with
   * `"\n"` a CR is a character of the line. Default false: LF ends a line, and CRs before it belong to the end.
   */
  readonly strict?: boolean;
  /** Default `"utf8"`, where bytes that are none become U+FFFD. `"latin1"` keeps every byte. */
  readonly encoding?: "utf8" | "latin1";
}

/** nginx's largest header line. SMTP (1,000), IRC (512) and FTP stay below it. */
const MAX_BYTES = 8_192;
const LF = 0x0a;
const CR = 0x0d;
const BEYOND_LATIN1 = /[\u0100-\uffff]/; // Node writes its low byte, which may be a line feed

type Settings = Required<LineOptions>;

/**
 * Lines of text, each without its end. `encode` throws TypeError on a text that holds a line's end, because it would be
 * two lines to the reader, and RangeError on one above `maxBytes`.
 */
export function line(options: LineOptions = {}): Codec<string> {
  const settings = checked({ maxBytes: MAX_BYTES, end: "\n", strict: false, encoding: "utf8", ...options });
  const codec: Codec<string> = {
    name: "line",
    decode: (bytes) => searching(settings)(bytes),
    encode: (text) => encode(text, settings),
  };
  return { ...codec, begin: () => remembering(codec, () => searching(settings)) };
}

/** Looks at no byte twice. */
function searching(settings: Settings): Decode<string> {
  const { maxBytes } = settings;
  let seen = 0;
  return (bytes) => {
    const head = asBuffer(bytes.length > maxBytes ? bytes.subarray(0, maxBytes) : bytes);
    const end = head.indexOf(LF, seen);
    if (end !== -1) return textOf(head, end, settings);
    seen = head.length;
    return head.length >= maxBytes ? tooLarge(maxBytes) : needs(head.length + 1);
  };
}

function textOf(head: Buffer, end: number, { end: terminator, strict, encoding }: Settings): Decoded<string> {
  let last = end;
  if (!strict) while (head[last - 1] === CR) last--;
  if (strict && terminator === "\r\n") {
    last = head.indexOf(CR);
    if (last === -1 || last > end) return malformed("a line feed without carriage return");
    if (last !== end - 1) return malformed("a carriage return within a line");
  }
  return frame(head.toString(encoding, 0, last), end + 1);
}

function encode(text: string, { end, strict, encoding, maxBytes }: Settings): Buffer {
  if (text.includes("\n")) throw new TypeError("line: the text holds a line feed");
  if (encoding === "latin1" && BEYOND_LATIN1.test(text)) throw new TypeError("line: the text is not latin1");
  if (strict && end === "\r\n" && text.includes("\r")) throw new TypeError("line: the text holds a carriage return");
  const bytes = Buffer.from(text + end, encoding);
  if (bytes.length > maxBytes) throw new RangeError(`line: ${bytes.length} bytes, more than ${maxBytes}`);
  return bytes;
}

function checked(settings: Settings): Settings {
  const { maxBytes, end, encoding } = settings;
  if (!Number.isInteger(maxBytes) || maxBytes < end.length) throw new TypeError(`line: maxBytes is ${maxBytes}`);
  if (end !== "\n" && end !== "\r\n") throw new TypeError("line: end is neither LF nor CR LF");
  if (encoding !== "utf8" && encoding !== "latin1") throw new TypeError(`line: no encoding: ${encoding}`);
  return settings;
}
