import { once } from "node:events";
import type { Socket } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Inlet } from "../../src/stream/inlet.ts";
import { Reader, type Received, type UntilIterator } from "../../src/stream/reader.ts";
import { RUNS } from "../laws/sniffer-laws.ts";
import { memorySocket } from "../support/memory-socket.ts";
import { socketPair } from "../support/sockets.ts";

type Read =
  | { readonly kind: "line"; readonly max: number }
  | { readonly kind: "all"; readonly max: number }
  | { readonly kind: "size"; readonly size: number; readonly max: number }
  | { readonly kind: "peek"; readonly size: number }
  | { readonly kind: "until"; readonly delimiter: string; readonly inclusive: boolean; readonly max: number };

const DELIMITERS = ["a", "--", "-a-", "aab", "--ab", "\r\n"] as const;
const max = fc.constantFrom(3, 8, 1_000);
const size = fc.nat(9);
const until = fc.record({
  kind: fc.constant("until" as const),
  delimiter: fc.constantFrom(...DELIMITERS),
  inclusive: fc.boolean(),
  max,
});
const read: fc.Arbitrary<Read> = fc.oneof(
  fc.record({ kind: fc.constant("line" as const), max }),
  fc.record({ kind: fc.constant("all" as const), max }),
  fc.record({ kind: fc.constant("size" as const), size, max }),
  fc.record({ kind: fc.constant("peek" as const), size }),
  until,
);
const input = fc.string({ unit: fc.constantFrom("a", "b", "-", "\r", "\n"), maxLength: 48 });
const cuts = fc.array(fc.nat(48), { maxLength: 12 });

function chunksOf(text: string, at: readonly number[]): string[] {
  const ends = [...new Set([...at.filter((cut) => cut < text.length), text.length])].toSorted((a, b) => a - b);
  return ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end)).filter((chunk) => chunk !== "");
}

const answer = (result: Received): string =>
  result.data ? got(result.data.toString()) : failed(result.err, result.partial.toString());
const got = (data: string): string => `data ${JSON.stringify(data)}`;
const failed = (err: string, partial: string): string => `${err} ${JSON.stringify(partial)}`;

function perform(reader: Reader, read: Read): Promise<Received> {
  switch (read.kind) {
    case "line":
      return reader.receive("*l", { maxBytes: read.max });
    case "all":
      return reader.receive("*a", { maxBytes: read.max });
    case "size":
      return reader.receive(read.size, { maxBytes: read.max });
    case "peek":
      return reader.peek(read.size);
    case "until":
      return reader.receiveUntil(read.delimiter, { inclusive: read.inclusive, maxBytes: read.max })();
  }
}

async function performAll(reader: Reader, reads: readonly Read[]): Promise<string[]> {
  const answers: string[] = [];
  for (const read of reads) answers.push(answer(await perform(reader, read)));
  return answers;
}

/** What the reader must answer, told by the whole input at once and in the plainest way. */
class Model {
  rest: string;
  #told = false;

  constructor(input: string) {
    this.rest = input;
  }

  answer(read: Read): string {
    switch (read.kind) {
      case "line":
        return this.#line(read.max);
      case "all":
        return this.rest.length > read.max ? failed("buffer full", this.#take(read.max)) : got(this.#take());
      case "size":
        if (this.#told) return failed("closed", "");
        if (read.size > read.max) return failed("buffer full", "");
        return read.size <= this.rest.length ? got(this.#take(read.size)) : this.#closed();
      case "peek":
        return read.size <= this.rest.length ? got(this.rest.slice(0, read.size)) : failed("closed", this.rest);
      case "until":
        return this.#until(read.delimiter, read.inclusive, read.max);
    }
  }

  #line(max: number): string {
    const end = this.rest.indexOf("\n");
    const plain = (text: string): string => text.replaceAll("\r", "");
    if (end !== -1 && end <= max) return got(plain(this.#take(end + 1).slice(0, end)));
    if (this.rest.length > max) return failed("line too long", plain(this.#take(max)));
    this.rest = plain(this.rest);
    return this.#closed();
  }

  #until(delimiter: string, inclusive: boolean, max: number): string {
    const at = this.rest.indexOf(delimiter);
    const before = at === -1 ? this.rest.length - this.#open(delimiter) : at;
    if (before > max) return failed("buffer full", this.#take(max));
    if (at === -1) return this.#closed();
    return got(this.#take(at + delimiter.length).slice(0, inclusive ? undefined : at));
  }

  /** Length of the end that may be the delimiter's beginning. */
  #open(delimiter: string): number {
    for (let length = delimiter.length - 1; length > 0; length--) {
      if (this.rest.endsWith(delimiter.slice(0, length))) return length;
    }
    return 0;
  }

  #take(size = this.rest.length): string {
    const taken = this.rest.slice(0, size);
    this.rest = this.rest.slice(size);
    return taken;
  }

  #closed(): string {
    this.#told = true;
    return failed("closed", this.#take());
  }
}

async function withReader<T>(socket: Socket, use: (reader: Reader) => Promise<T>): Promise<T> {
  const reader = new Reader(new Inlet(socket), { peekBytes: 16_384 });
  try {
    return await use(reader);
  } finally {
    socket.destroy();
  }
}

test("any reads over any chunks answer what the plain model answers for the whole", async () => {
  await fc.assert(
    fc.asyncProperty(input, cuts, fc.array(read, { minLength: 1, maxLength: 8 }), async (text, at, reads) => {
      const model = new Model(text);
      const expected = reads.map((read) => model.answer(read));
      await withReader(memorySocket(...chunksOf(text, at), null), async (reader) => {
        expect(await performAll(reader, reads)).toEqual(expected);
      });
    }),
    { numRuns: RUNS },
  );
});

test("over a real connection the answers are the same", async () => {
  await fc.assert(
    fc.asyncProperty(input, cuts, fc.array(read, { minLength: 1, maxLength: 8 }), async (text, at, reads) => {
      const model = new Model(text);
      const expected = reads.map((read) => model.answer(read));
      const { near, far } = await socketPair();
      for (const chunk of chunksOf(text, at)) far.write(chunk);
      far.end();
      await withReader(near, async (reader) => expect(await performAll(reader, reads)).toEqual(expected));
      far.destroy();
      await once(far, "close");
    }),
    { numRuns: Math.min(RUNS, 1_000) / 20 },
  );
});

/** The chunks of one run, as far as the delimiter or the end. */
async function run(next: UntilIterator, size: number): Promise<{ chunks: string[]; end: string }> {
  const chunks: string[] = [];
  for (;;) {
    const result = await next(size);
    if (result.err !== undefined) return { chunks, end: failed(result.err, result.partial.toString()) };
    if (result.data === undefined) return { chunks, end: "{}" };
    chunks.push(result.data.toString());
  }
}

test("chunks up to a delimiter are of about the size, make up the whole, and do not depend on how bytes come", async () => {
  const some = fc.record({ text: input, at: cuts, options: until, size: fc.integer({ min: 1, max: 7 }) });
  await fc.assert(
    fc.asyncProperty(some, async ({ text, at, options: { delimiter, inclusive }, size }) => {
      const runs = await Promise.all(
        [chunksOf(text, at), [text]].map((chunks) =>
          withReader(memorySocket(...chunks, null), async (reader) => {
            const next = reader.receiveUntil(delimiter, { inclusive });
            return [await run(next, size), await run(next, size)];
          }),
        ),
      );
      const [[first] = []] = runs;
      expect(runs[1]).toEqual(runs[0]);
      const found = text.indexOf(delimiter);
      const joined = first?.chunks.join("") ?? "";
      if (found === -1) {
        expect(first?.end).toBe(failed("closed", text.slice(joined.length)));
      } else {
        expect(first?.end).toBe("{}");
        expect(joined).toBe(text.slice(0, inclusive ? found + delimiter.length : found));
      }
      for (const chunk of first?.chunks ?? []) expect(chunk.length).toBeLessThan(size + 2 * delimiter.length);
    }),
    { numRuns: RUNS },
  );
});
