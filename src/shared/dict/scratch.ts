import { wordsFor } from "./layout.ts";

const FIRST_BYTES = 1_024;
/** What a large value needed is given back; what usual ones need is kept. */
const KEPT_BYTES = 256 * 1024;

/** Memory of this process's own for one key or value: written as bytes, copied to and from the dictionary as words. */
export class Scratch {
  words: Int32Array = new Int32Array(FIRST_BYTES / 4);
  bytes: Buffer = Buffer.from(this.words.buffer);

  /** Makes room for `bytes`, and one word behind them. What was in it is lost. */
  reserve(bytes: number): void {
    const wanted = bytes + 4;
    if (wanted <= this.bytes.length && (this.bytes.length <= KEPT_BYTES || wanted > KEPT_BYTES)) return;
    this.words = new Int32Array(2 ** Math.ceil(Math.log2(wordsFor(Math.max(wanted, FIRST_BYTES)))));
    this.bytes = Buffer.from(this.words.buffer);
  }
}
