import fc from "fast-check";
import { expect, test } from "vitest";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import { line } from "../../../src/codecs/line.ts";
import type { BodyFilter, Filter, Filtered } from "../../../src/stream/filter/body-filter.ts";
import { frames } from "../../../src/stream/filter/frames.ts";
import type { Awaitable } from "../../../src/stream/session.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";
import { ScriptedSocket, type Weather } from "../../support/scripted-socket.ts";
import { relayWith } from "./filter-rig.ts";

// What comes out is what the filters make of the whole input, however it is cut into chunks, however slow both sides and
// the filters are.

/** A filter, and what it makes of all bytes of a direction at once. */
interface Kind {
  readonly name: string;
  filter(wait: Wait): Filter;
  model(input: Buffer): Buffer;
}

/** Answers at once, or some turns later. */
type Wait = <T>(value: T) => Awaitable<T>;

const LF = 0x0a;
const codec = lengthPrefixed({ size: 1 });

const inverted = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => 255 - byte));

const raw: readonly Kind[] = [
  { name: "passes", filter: (wait) => () => wait(undefined), model: (input) => input },
  { name: "changes each byte", filter: (wait) => (chunk) => wait(inverted(chunk)), model: inverted },
  {
    name: "drops what it does not like, and sends the rest in pieces",
    filter: (wait) => (chunk) => {
      const kept = Array.from(
        chunk.filter((byte) => byte % 3 !== 0),
        (byte) => Buffer.of(byte),
      );
      return wait<Filtered>(kept.length > 0 ? kept : null);
    },
    model: (input) => input.filter((byte) => byte % 3 !== 0) as Buffer,
  },
  {
    name: "holds all back until the end",
    filter: (wait) => {
      const held: Buffer[] = []; // one direction of one session: the test makes a new one for each
      return {
        chunk: (chunk) => {
          held.push(chunk);
          return wait(null);
        },
        end: () => wait(held),
      };
    },
    model: (input) => input,
  },
];

const framed: readonly Kind[] = [
  {
    name: "frames with a length",
    filter: (wait) =>
      frames(codec, (payload) => {
        if (payload.length % 4 === 0) return wait(undefined);
        if (payload.length % 4 === 1) return wait(null);
        if (payload.length % 4 === 2) return wait([payload, inverted(payload)]);
        return wait(inverted(payload));
      }),
    model: (input) => byFrames(input),
  },
  {
    name: "lines",
    filter: (wait) =>
      frames(
        line({ encoding: "latin1", strict: true }),
        (text) => {
          if (text.length % 3 === 0) return wait(undefined);
          return text.length % 3 === 1 ? wait(null) : wait(`${text}!`);
        },
        { end: (rest) => wait([rest, "."]) },
      ),
    model: (input) => byLines(input),
  },
];

function byFrames(input: Buffer): Buffer {
  const out: Buffer[] = [];
  let at = 0;
  for (let decoded = codec.decode(input); decoded.kind === "frame"; decoded = codec.decode(input.subarray(at))) {
    const { value, size } = decoded;
    if (value.length % 4 === 0) out.push(input.subarray(at, at + size));
    if (value.length % 4 === 2) out.push(Buffer.from(codec.encode(value)));
    if (value.length % 4 > 1) out.push(Buffer.from(codec.encode(inverted(value))));
    at += size;
  }
  return Buffer.concat([...out, input.subarray(at)]);
}

function byLines(input: Buffer): Buffer {
  const out: string[] = [];
  let at = 0;
  for (let end = input.indexOf(LF); end !== -1; end = input.indexOf(LF, at)) {
    const text = input.toString("latin1", at, end);
    if (text.length % 3 !== 1) out.push(text.length % 3 === 0 ? `${text}\n` : `${text}!\n`);
    at = end + 1;
  }
  return Buffer.from(`${out.join("")}${input.toString("latin1", at)}.`, "latin1");
}

/** Bytes with many line ends and lengths that are soon over, cut anywhere. */
const bytes = fc.uint8Array({ maxLength: 400 }).map((list) => list.map((byte) => (byte % 7 === 0 ? LF : byte % 64)));
const input = fc
  .tuple(bytes, fc.array(fc.nat(60), { minLength: 1, maxLength: 8 }))
  .map(([list, sizes]) => ({ whole: Buffer.from(list), chunks: cut(Buffer.from(list), sizes) }));
const weather: fc.Arbitrary<Weather> = fc.record({
  pauses: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
  lags: fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }),
  room: fc.constantFrom(1, 16, 100, 65_536),
});
const waits = fc.array(fc.nat(2), { minLength: 1, maxLength: 5 });
const chain = fc.array(fc.constantFrom(...raw), { maxLength: 3 });
const chainWithFrames = fc
  .tuple(chain, fc.constantFrom(...framed), chain)
  .map(([before, frame, behind]) => [...before, frame, ...behind]);
const direction = fc.record({ input, weather, waits, chain: fc.oneof(chain, chainWithFrames) });

function cut(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < whole.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    chunks.push(whole.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function waiter(turns: readonly number[]): Wait {
  let calls = 0;
  return (value) => {
    const left = turns[calls++ % turns.length] ?? 0;
    return left === 0 ? value : later(value, left);
  };
}

async function later<T>(value: T, turns: number): Promise<T> {
  for (let left = turns; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
  return value;
}

test("what comes out in both directions is what the filters make of the whole input", async () => {
  await fc.assert(
    fc.asyncProperty(direction, direction, async (up, down) => {
      const client = new ScriptedSocket(up.weather);
      const peer = new ScriptedSocket(down.weather);
      const filter: BodyFilter = {
        client: up.chain.map((kind) => kind.filter(waiter(up.waits))),
        upstream: down.chain.map((kind) => kind.filter(waiter(down.waits))),
      };
      const { relay, ended } = relayWith(client, peer, filter);
      await Promise.all([client.deliver(up.input.chunks), peer.deliver(down.input.chunks), ended]);
      const kindsUp: readonly Kind[] = up.chain;
      const kindsDown: readonly Kind[] = down.chain;
      const expectedUp = kindsUp.reduce<Buffer>((before, kind) => kind.model(before), up.input.whole);
      const expectedDown = kindsDown.reduce<Buffer>((before, kind) => kind.model(before), down.input.whole);
      expect(Buffer.concat(peer.written).toString("hex")).toBe(expectedUp.toString("hex"));
      expect(Buffer.concat(client.written).toString("hex")).toBe(expectedDown.toString("hex"));
      expect((await ended).error).toBeUndefined();
      expect([relay.bytesUp, relay.bytesDown]).toEqual([up.input.whole.length, expectedDown.length]);
    }),
    { numRuns: RUNS },
  );
});
